// Focusnfix repairs local faults of text-to-image models and shows the work in a terminal.
package main

import "focusnfix/cmd"

func main() { cmd.Main() }
