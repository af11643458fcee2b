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
if [ "$1" = -o ]; then
	out=$2
	shift 2
fi
. termtest/lib.sh
go build -o "$tmp/demo" ./tui/internal/demo && go build -o "$tmp/focusnfix" . || exit 1
pic=$tmp/picture.png # what the demo encoded last
: >"$pic"
demo="$tmp/demo -dump $pic"

# What is on the screen. The picture's cells are 35,1 to 64,10 in 100x24; #101010 is the background.
there="expect-image $pic @35,1 within=10"
gone="expect-no-image $pic
expect-color 35,2 #101010
expect-color 50,5 #101010
expect-color 64,9 #101010"

# terminal NAME MAXPCT [PROTOCOL]: MAXPCT is how much of a steady area may differ, in percent
terminal() {
	t=$1 pct=$2 label=$1${3:+ $3} file=$1${3:+-$3}
	FNF_IMAGES=$3
	export FNF_IMAGES
	command -v "$t" >/dev/null || { skip "$t" "not installed"; return; }

	steps "$label: a picture is steady between scrolling text" -t "$t" --alive -- sh -c "$demo" <<-STEPS
		wait 2.5
		$there
		shot $file
		steady 35,1,30x10 10 $pct
		changes 0,1,34x10 1
		changes 66,1,33x10 1
	STEPS
	steps "$label: steady with wide glyphs and a second picture" -t "$t" --alive -- sh -c "$demo" <<-STEPS
		wait 1
		key w 2
		wait 1.5
		$there
		shot $file-wide
		steady 35,1,30x9 10 $pct
		steady 35,11,10x3 3 $pct
	STEPS
	steps "$label: other page, hidden, modal, moved, exchanged" -t "$t" --alive -- sh -c "$demo" <<-STEPS
		wait 2
		$there
		key Tab
		wait 1.5
		shot $file-page
		$gone
		key Tab
		wait 1.5
		$there
		key h
		wait 1.5
		$gone
		key h
		wait 1.5
		$there
		key m
		wait 1.5
		shot $file-modal
		expect-color 43,5 #101010
		expect-color 52,7 #101010
		steady 41,5,15x4 2 $pct
		key m
		wait 1.5
		$there
		key Right Right Right
		wait 1.5
		expect-image $pic @38,1
		key Left Left Left n
		wait 1.5
		$there
		key m n
		wait 1.5
		steady 41,5,15x4 1 $pct
		key m
		wait 1.5
		$there
	STEPS
	steps "$label: resized" -t "$t" --alive -- sh -c "$demo" <<-STEPS
		wait 2
		resize 81x20
		wait 1
		shot $file-resized
		expect-image $pic @25,1
		resize 40x8
		wait 1.5
		expect-no-image $pic
		resize 120x30
		wait 1
		expect-image $pic @45,1
		steady 45,1,30x10 2 $pct
	STEPS
	steps "$label: quitting leaves nothing behind" -t "$t" -- sh -c "$demo; sleep 4" <<-STEPS
		wait 2
		$there
		key q
		wait 1.5
		shot $file-quit
		$gone
	STEPS
	steps "$label: suspended and resumed" -t "$t" --alive -- "$tmp/demo" -dump "$pic" <<-STEPS
		wait 2
		key ctrl+z
		wait 1
		shot $file-suspended
		$gone
		fg
		wait 1
		$there
		steady 35,1,30x10 2 $pct
	STEPS
	steps "$label: view writes a picture between lines" -t "$t" -- \
		sh -c "seq 12; $tmp/focusnfix view $pic; echo END; seq 3; sleep 5" <<-STEPS
		wait 2.5
		shot $file-view
		expect-image $pic
	STEPS
	FNF_IMAGES=
}

# Where no pictures are possible the program says so and draws blocks.
fallbacks() {
	steps "xterm without sixel: blocks" --no-sixel --alive -- sh -c "$demo" <<-STEPS
		wait 2.5
		expect-text blocks:.*neither
		expect-no-image $pic
		shot fallback-nosixel
		steady 35,1,30x10 3 1
	STEPS
	steps "ssh: sixel" --ssh --alive -- sh -c "$demo" <<-STEPS
		wait 3
		expect-text sixel:
		shot fallback-ssh
		steady 35,1,30x10 3
	STEPS
	steps "pictures switched off" --alive -- sh -c "$demo -images off" <<-STEPS
		wait 2
		expect-text off:
		expect-no-image $pic
	STEPS
	command -v tmux >/dev/null || { skip tmux "not installed"; return; }
	inside_tmux "tmux" --tmux
	inside_tmux "tmux over ssh" --ssh --tmux
	inside_tmux "tmux with passthrough" --tmux-set "allow-passthrough on"
}

inside_tmux() {
	name=$1
	shift
	steps "$name: blocks" "$@" --alive -- sh -c "$demo" <<-STEPS
		wait 3.5
		expect-text blocks:.*tmux
		expect-no-image $pic
		shot fallback-tmux
	STEPS
}

[ $# = 0 ] && set -- xterm konsole mlterm kitty fallbacks
for t in "$@"; do
	case $t in
	fallbacks) fallbacks ;;
	konsole) # it and mlterm blend glyphs over cell borders
		terminal konsole 1 kitty
		terminal konsole 1 sixel
		;;
	mlterm) terminal mlterm 1 ;;
	*) terminal "$t" 0 ;;
	esac
done
summary
