# shellcheck shell=sh
# Shared by the terminal tests: sourced with $out set to the folder for screenshots, or empty.
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
out=${out:-$tmp}
passed=0 failed=0 skipped=0

skip() {
	echo "skip $1: $2"
	skipped=$((skipped + 1))
}

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

# steps NAME ARGUMENT... -- COMMAND: runs a command in a terminal; standard input has the steps.
steps() {
	test=$1
	shift
	if python3 "$termshot" -z 100x24 -o "$out" --timeout 120 -f - "$@" >"$tmp/log" 2>&1; then
		echo "ok   $test"
		passed=$((passed + 1))
	else
		echo "FAIL $test"
		sed 's/^/     /' "$tmp/log"
		failed=$((failed + 1))
	fi
}
