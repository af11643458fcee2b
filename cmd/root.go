// Package cmd holds one file per subcommand: it turns flags into configuration and nothing else.
package cmd

// Main runs the program and ends it with the exit code of DESIGN: 0 done, 1 failed, 2 usage.
func Main() {}
