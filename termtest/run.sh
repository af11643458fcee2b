#!/bin/sh
# Tests the picture layer in real terminals, on a private X server: pictures between text that changes
# and scrolls ten times a second must be there, must stay untouched, and must leave nothing behind.
#
#   termtest/run.sh [-o DIR] [TERMINAL...]      default: xterm konsole mlterm kitty fallbacks
#
# It needs termshot (environment TERMSHOT, or ../shared/tools/termshot beside the repository) and what
# termshot needs. Whatever is missing is skipped with a reason. The screenshots stay in DIR.
cd "$(dirname "$0")/.." || exit 1
out=
[ "$1" = -o ] && { out=$2; shift 2; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
out=${out:-$tmp}
passed=0 failed=0 skipped=0

skip() { echo "skip $1: $2"; skipped=$((skipped + 1)); }
summary() {
	echo "terminal tests: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
	exit
}

termshot=${TERMSHOT:-../shared/tools/termshot}
[ -f "$termshot" ] || { skip all "no termshot: set TERMSHOT"; summary; }
for tool in python3 Xvfb xdotool xterm; do
	command -v "$tool" >/dev/null || { skip all "$tool is not installed"; summary; }
done
go build -o "$tmp/demo" ./tui/internal/demo || exit 1
pic=$tmp/picture.png # what the demo encoded last
: >"$pic"

# shot NAME ARGUMENT...: one run of the demo in a terminal
shot() {
	name=$1
	shift
	if python3 "$termshot" -z 100x24 -o "$out" --timeout 90 "$@" >"$tmp/log" 2>&1; then
		echo "ok   $name"
		passed=$((passed + 1))
	else
		echo "FAIL $name"
		sed 's/^/     /' "$tmp/log"
		failed=$((failed + 1))
	fi
}

demo="$tmp/demo -dump $pic"
there="expect-image $pic"
gone="expect-no-image $pic"
empty='#101010' # the terminal's background

# The picture's cells are 35,1 to 64,10 in 100x24. Here is what its corners and middle show when it is gone.
clean() { for at in 35,2 50,5 64,9; do printf -- '-s\nexpect-color %s %s\n' "$at" "$empty"; done; }

# terminal NAME MAXPCT: MAXPCT is how much of a steady area may differ, in percent
terminal() {
	t=$1 pct=$2
	command -v "$t" >/dev/null || { skip "$t" "not installed"; return; }

	shot "$t: picture is steady between scrolling text" -t "$t" --alive -s 'wait 2.5' -s "$there @35,1" \
		-s "shot $t" -s "steady 35,1,30x10 10 $pct" -s 'changes 0,1,34x10 1' -s 'changes 66,1,33x10 1' -- $demo
	shot "$t: steady with wide glyphs and a second picture" -t "$t" --alive -s 'wait 1' -s 'key w 2' -s 'wait 1.5' \
		-s "$there @35,1" -s "shot $t-wide" -s "steady 35,1,30x9 10 $pct" -s "steady 35,11,10x3 3 $pct" -- $demo

	IFS='
'
	shot "$t: page, hide, modal, move, exchange" -t "$t" --alive -s 'wait 2' -s "$there" \
		-s 'key Tab' -s 'wait 0.5' -s "shot $t-page" $(clean) -s "$gone" -s 'key Tab' -s 'wait 0.5' -s "$there @35,1" \
		-s 'key h' -s 'wait 0.5' $(clean) -s 'key h' -s 'wait 0.5' -s "$there @35,1" \
		-s 'key m' -s 'wait 0.5' -s "shot $t-modal" -s "expect-color 43,5 $empty" -s "expect-color 52,7 $empty" \
		-s "steady 41,5,15x4 2 $pct" -s 'key m' -s 'wait 0.5' -s "$there @35,1" \
		-s 'key Right Right Right' -s 'wait 0.5' -s "$there @38,1" -s "expect-color 35,10/bottom $empty 60" \
		-s 'key Left Left Left n' -s 'wait 0.5' -s "$there @35,1" -s 'key m n' -s 'wait 0.5' \
		-s "steady 41,5,15x4 1 $pct" -s 'key m' -s 'wait 0.5' -s "$there @35,1" -- sh -c "$demo"
	shot "$t: resize" -t "$t" --alive -s 'wait 2' -s 'resize 81x20' -s 'wait 1' -s "shot $t-resized" -s "$there @25,1" \
		-s 'resize 40x8' -s 'wait 0.7' -s "$gone" -s 'resize 120x30' -s 'wait 1' -s "$there @45,1" \
		-s "steady 45,1,30x10 2 $pct" -- sh -c "$demo"
	shot "$t: quit leaves nothing" -t "$t" -s 'wait 2' -s "$there" -s 'key q' -s 'wait 0.7' -s "shot $t-quit" \
		-s "$gone" $(clean) -- sh -c "$demo; sleep 3"
	shot "$t: suspend and resume" -t "$t" --alive -s 'wait 2' -s 'key ctrl+z' -s 'wait 1' -s "shot $t-suspended" \
		-s "$gone" $(clean) -s fg -s 'wait 1' -s "$there @35,1" -s "steady 35,1,30x10 2 $pct" -- "$tmp/demo" -dump "$pic"
	unset IFS
}

# Where no pictures are possible the program says so and draws blocks.
fallbacks() {
	shot "xterm without sixel: blocks" --no-sixel --alive -s 'wait 2.5' -s 'expect-text blocks:.*neither' -s "$gone" \
		-s 'shot fallback-nosixel' -s 'steady 35,1,30x10 3 1' -- $demo
	shot "ssh: sixel" --ssh --alive -s 'wait 3' -s 'expect-text sixel:' -s 'shot fallback-ssh' \
		-s 'steady 35,1,30x10 3' -- $demo
	command -v tmux >/dev/null || { skip tmux "not installed"; return; }
	shot "tmux: blocks" --tmux --alive -s 'wait 3.5' -s 'expect-text blocks:.*tmux' -s "$gone" -s 'shot fallback-tmux' -- $demo
	shot "tmux over ssh: blocks" --ssh --tmux --alive -s 'wait 3.5' -s 'expect-text blocks:.*tmux' -- $demo
	shot "pictures off" --alive -s 'wait 2' -s 'expect-text off:' -s "$gone" -- $demo -images off
}

for t in ${*:-xterm konsole mlterm kitty fallbacks}; do
	case $t in
	fallbacks) fallbacks ;;
	konsole | mlterm) terminal "$t" 1 ;; # they blend glyphs over cell borders
	*) terminal "$t" 0 ;;
	esac
done
summary
