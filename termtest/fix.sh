#!/bin/sh
# Tests the Fix pane in a real terminal with the shipped model: a box that is dragged over a fault heals it while the
# surroundings stay, undo brings back the same image, and a box in the sky finds no fault.
#
#   termtest/fix.sh [-o DIR]
#
# It needs what run.sh needs, libtorch and about two minutes of two cores; what is missing is skipped with a reason. The
# screenshots stay in DIR.
cd "$(dirname "$0")/.." || exit 1
out=
[ "$1" = -o ] && out=$2
. termtest/lib.sh
FNF_TORCH_SHIM=${FNF_TORCH_SHIM:-$PWD/build/libfnf_torch.so}
XDG_CONFIG_HOME=$tmp/config
XDG_STATE_HOME=$tmp/state
OMP_WAIT_POLICY=passive
export FNF_TORCH_SHIM XDG_CONFIG_HOME XDG_STATE_HOME OMP_WAIT_POLICY
[ -f "$FNF_TORCH_SHIM" ] || { skip "the Fix pane" "libtorch's shim is not built: make setup"; summary; }
go build -o "$tmp/focusnfix" . || exit 1

# One step on two prompts makes a run whose engine can draw.
printf '%s\n' "a guard and a cactus in the desert" "[held out]" "a chef in the park" >"$tmp/prompts.txt"
"$tmp/focusnfix" train violence --run "$tmp/runs/r" --steps 1 --set train.batch=1 --set "train.prompts=$tmp/prompts.txt" >"$tmp/log" 2>&1 ||
	{ sed 's/^/     /' "$tmp/log"; echo "FAIL a run to repair images in"; failed=1; summary; }

# The image's cells are 41,1 to 82,22 in 84x25; its fault lies between guard and cactus, at 55,12 to 68,21.
image="41,1,42x22"
steps "a dragged box heals a weapon; undo and redo show the same images again" -z 84x25 --timeout 300 --alive -- \
	"$tmp/focusnfix" --runs "$tmp/runs" <<STEPS
wait-text violence
key Return
wait 1
key 4
wait 0.5
type a guard and a cactus in the desert
key Tab Tab ctrl+u
type 4294967351
key Return
wait-text only\\sdraws
key y
wait-text held-out\\s+9 90
key Escape
wait 0.3
key F
wait 1
drag 55,12 68,21
wait-text 35.65\\s%
shot fix-region
key Return
wait-text violence\\srepaired 120
text fix-repaired
key Home
wait 0.7
shot fix-after $image
key U
wait 0.7
shot fix-undone $image
key R
wait-text violence\\srepaired
wait 0.7
shot fix-redone $image
key U
wait 0.7
shot fix-undone-again $image
STEPS

# same NAME NAME: whether two screenshots are equal, byte for byte
same() {
	if cmp -s "$out/$1.png" "$out/$2.png"; then
		echo "ok   $1 and $2 are the same"
		passed=$((passed + 1))
	else
		echo "FAIL $1 and $2 differ"
		failed=$((failed + 1))
	fi
}
same fix-undone fix-undone-again
same fix-after fix-redone
if awk '$1 == "outside" && $2 >= 35 { kept = 1 } END { exit !kept }' "$out/fix-repaired.txt"; then
	echo "ok   the surroundings stay: $(grep -o 'outside *[0-9.]* dB' "$out/fix-repaired.txt")"
	passed=$((passed + 1))
else
	echo "FAIL the surroundings changed"
	failed=$((failed + 1))
fi

steps "a box in the sky finds no violence" -z 84x25 --timeout 200 --alive -- "$tmp/focusnfix" --runs "$tmp/runs" <<STEPS
wait-text violence
key Return
wait 1
key 4
wait 1
key Escape
wait 0.3
key F
wait 1
drag 44,2 48,4
wait 0.3
key Return
wait-text no\\sviolence\\sfound\\shere 60
shot fix-sky
STEPS
"$tmp/focusnfix" stop "$tmp/runs/r" >/dev/null 2>&1
summary
