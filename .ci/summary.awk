# Reads the output of `go test -v` and prints what `go test` would: one line for each package, and
# all that a failing package said. At the end: which tests skipped, and why.

/^(ok  |FAIL)\t/ {
	if (/^FAIL/) printf "%s", said
	print
	said = ""
	next
}
/\[no test files\]$/ || /^ *--- PASS/ { next }
/^=== / { test = $3; next }
/^ *--- SKIP: / {
	skips = skips "skipped: " $3 ": " why[$3] "\n"
	skipped++
	next
}
{ said = said $0 "\n"; why[test] = $0; sub(/^ +/, "", why[test]) }

END {
	printf "%s%s", said, skips
	printf "%d skipped\n", skipped
}
