#!/bin/sh
# Tests the screen in a real terminal, on a private X server: from the list of runs to a live dashboard, sizes,
# colors, tmux, a lost connection, and quitting. The engines are of tui/internal/watch and need no model.
#
#   termtest/screen.sh [-o DIR]
#
# It needs what run.sh needs; what is missing is skipped with a reason. The screenshots stay in DIR.
cd "$(dirname "$0")/.." || exit 1
out=
[ "$1" = -o ] && out=$2
. termtest/lib.sh
go build -o "$tmp/watch" ./tui/internal/watch || exit 1
XDG_CONFIG_HOME=$tmp/config
XDG_STATE_HOME=$tmp/state
export XDG_CONFIG_HOME XDG_STATE_HOME
watch="$tmp/watch -pace 400ms"

# The sun of the sample pictures, where the base and the tuned one are in 120x40.
sun="expect-color 113,6 #fad650 20
expect-color 113,23 #fad650 20"

steps "start a run: pictures are there and steady, curves move" -z 120x40 --alive -- sh -c "$watch $tmp/a" <<STEPS
wait-text No\\sruns\\syet
shot first
key Return
wait-text Start\\sviolence
shot ask
key Return
wait-text step\\s([89]|[1-5][0-9])/60 30
$sun
shot dashboard
steady 90,5,28x14 5
changes 0,3,86x8 5
key x
wait-text Stop\\sthe\\srun
shot question
key y
wait-text stopped 30
shot stopped
STEPS

"$tmp/watch" -write-only "$tmp/b" || exit 1
steps "runs of every state, opened without an engine" -z 120x40 --alive -- sh -c "$watch $tmp/b" <<STEPS
wait-text crashed
expect-text failed
expect-text stopped
shot runs
key m Down m
wait-text total\\sreward
shot compare
key Up Return
wait-text Stopped
wait-stable 2 20
$sun
key i Left Left
wait-stable 0.5 10
shot inspect
key question
wait-text Keys
shot help
key Escape
wait-stable 0.5 10
expect-color 113,6 #fad650 20
STEPS

steps "80x24, 200x60, too small, and a storm of sizes" -z 80x24 --alive -- sh -c "$watch $tmp/b" <<STEPS
wait-text crashed
shot runs-80x24
key Return
wait-text Stopped
wait-stable 2 20
shot dashboard-80x24
resize 200x60
wait-stable 2 20
shot dashboard-200x60
resize 40x12
wait-text too\\ssmall
shot small
resize 100x30
resize 61x19
resize 140x50
resize 90x20
resize 120x40
wait-stable 2 20
expect-size 120x40
$sun
shot storm
STEPS

steps "images: large, flipped, in a grid, played, saved" -z 120x40 --alive -- sh -c "cd $tmp && $watch -open b/*-all-aspects-* b" <<STEPS
wait-text Stopped
key 3
wait-text step\\s40,\\snewest
wait-stable 2 20
expect-color 104,7 #fad650 20
shot images
key f h
wait-stable 2 20
shot images-heatmap
steady 50,2,69x35 2
key g
wait-stable 2 20
expect-color 83,7 #fad650 20
shot grid
click 45,10
wait-text ▸\\s1·7
click 45,10
wait-text image\\s2\\sof\\s4
click 40,38
wait-text of\\s9
key space
changes 0,37,120x2 4
key s
wait-text saved
run ls $tmp/*-step-*.png
STEPS

steps "prompt: typed, drawn, repaired live" -z 120x40 --alive -- sh -c "$watch -open $tmp/b/*-violence-* $tmp/b" <<STEPS
wait-text failed
key 4
wait-text type\\swhat
type a chef
shot prompt-typing
key Return
wait-text No\\sengine
key y
wait-text result\\s1\\sof\\s1 20
wait-stable 2 20
expect-color 69,11 #fad650 20
expect-color 110,11 #fad650 20
shot prompt
key Escape
wait-stable 0.5 10
key F
wait-text box
wait-stable 2 20
expect-color 104,8 #fad650 20
drag 55,20 75,35
wait-stable 2 20
shot fix-box
key Return
wait-text ([4-9]|1[0-2])\\sof\\s12 20
shot fix-live
wait-text repair\\s1\\sof\\s1 20
wait-stable 2 20
expect-color 104,8 #fad650 20
expect-color 77,24 #be141e 20
expect-color 90,24 #6e5a96 20
expect-color 100,38 #101010
shot fix
STEPS

# What is typed in the Prompt pane is text: letters that are keys elsewhere, digits that are tabs, pastes, and a
# number that is refused stays in its field.
steps "prompt: everything that is typed is text" -z 120x40 -- sh -c "$watch -open $tmp/b/*-artifacts-* $tmp/b" <<STEPS
wait-text Done
key 4
wait-text type\\swhat
type a ninja
wait-text prompt\\s+›\\sa\\sninja
type , quiet park? 3 dogs: two cats
wait-text a\\sninja,\\squiet\\spark\\?\\s3\\sdogs:\\stwo\\scats
shot typing
key Tab Tab Tab
type 100000
key Return
wait-text steps:\\s100000
wait-text steps\\s100000
shot refused
key BackSpace BackSpace BackSpace BackSpace Return
wait-text No\\sengine
key Escape
wait-stable 0.3 10
key Escape
wait-text draw\\s+e\\sedit
key q
wait-exit
STEPS

if command -v xclip >/dev/null; then
	steps "prompt: a paste is text" -z 120x40 -- sh -c "$watch -open $tmp/b/*-artifacts-* $tmp/b" <<-STEPS
	wait-text Done
	key 4
	wait-text type\\swhat
	run printf 'q 3 pasted ninjas' | xclip -selection primary -i
	key shift+Insert
	wait-text prompt\\s+›\\sq\\s3\\spasted\\sninjas
	key Escape
	wait-stable 0.3 10
	key Escape
	wait-text draw\\s+e\\sedit
	key q
	wait-exit
	STEPS
else
	skip "a paste" "xclip is not installed"
fi

# Terminals disagree on how wide joined emoji, flags and variation selectors are.
log=$(ls -d "$tmp"/b/*-all-aspects-*)/events.jsonl
cp "$log" "$tmp/events.jsonl"
odd='\360\237\221\250\342\200\215\360\237\221\251\342\200\215\360\237\221\247 \342\235\244\357\270\217 \360\237\207\251\360\237\207\252 \360\237\221\215\360\237\217\275'
# shellcheck disable=SC2059 # the format is ours
printf '{"time":"2026-11-24T12:00:00Z","kind":"control","step":41,"control":{"key":"'"$odd $odd $odd end"'"}}\n' >>"$log"
for term in xterm kitty; do
	command -v $term >/dev/null || { skip "odd widths, $term" "not installed"; continue; }
	steps "odd widths leave pictures alone, $term" -z 120x40 -t $term --alive -- sh -c "$watch $tmp/b" <<-STEPS
	wait-stable 3 30
	key Return
	wait-stable 3 30
	$sun
	expect-color 92,35 #58954a 30
	expect-color 115,36 #58954a 30
	shot odd-$term
	STEPS
done
cp "$tmp/events.jsonl" "$log"

steps "light background" -z 120x40 --bg=#fafafa --xrm 'XTerm*foreground: #202020' --alive -- sh -c "$watch $tmp/b" <<STEPS
wait-text crashed
shot light-runs
key Return
wait-text Stopped
wait-stable 2 20
shot light
$sun
STEPS

steps "no colours" -z 120x40 -e NO_COLOR=1 --alive -- sh -c "$watch $tmp/b" <<STEPS
wait-text crashed
key Return
wait-text Stopped
wait-stable 2 20
shot no-color
STEPS

steps "quitting leaves the terminal clean" -z 120x40 -- sh -c "echo before; $watch $tmp/b; echo after; sleep 3" <<STEPS
wait-text crashed
key Return
wait-text Stopped
wait-stable 2 20
$sun
key q
wait-text after
expect-text before
expect-color 113,6 #101010
expect-color 113,23 #101010
shot quit
STEPS

if command -v tmux >/dev/null; then
	steps "tmux: half blocks" -z 120x40 --tmux --alive -- sh -c "$watch $tmp/b" <<-STEPS
	wait-text crashed
	key Return
	wait-text Stopped
	wait-stable 2 20
	expect-color 113,6 #fad650 20
	shot tmux
	STEPS
else
	skip tmux "not installed"
fi

if command -v sshd >/dev/null || [ -x /usr/sbin/sshd ]; then
	steps "ssh: the connection is lost" -z 120x40 --ssh --exit-code any -- sh -c "$tmp/watch -pace 1s $tmp/c" <<-STEPS
	wait-text No\\sruns\\syet
	key Return
	wait-text Start\\sviolence
	key Return
	wait-text step\\s([5-9]|[1-5][0-9])/60 30
	signal HUP
	wait-exit
	STEPS
	steps "ssh: attached again, the run went on and nothing is missing" -z 120x40 --ssh --alive -- sh -c "$tmp/watch -pace 1s $tmp/c" <<-STEPS
	wait-text running
	key Return
	wait-text step\\s[1-5]?[0-9]/60
	wait 1
	shot again
	key x
	wait-text Stop
	key y
	wait-text stopped 30
	run awk -F'"step":' '/"kind":"step"/ { n++; split(\$2, rest, ","); last = rest[1] } END { exit n != last }' $tmp/c/*/events.jsonl
	STEPS
else
	skip ssh "sshd is not installed"
fi
summary
