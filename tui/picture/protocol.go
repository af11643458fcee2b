package picture

import "fmt"

// Protocol is a way to bring a picture into a terminal.
type Protocol uint8

// The protocols, those that draw pixels last.
const (
	Off        Protocol = iota // no pictures, a line of text in their place
	Blocks                     // half block characters in two colors
	Sixel                      // DEC sixel
	ITerm2                     // OSC 1337 File
	Kitty                      // kitty graphics, placed at the cursor
	KittyCells                 // kitty graphics by placeholder characters: the one that tmux can carry
)

// ProtocolNames are the values of --images beside auto, in the order of the protocols.
var ProtocolNames = []string{"off", "blocks", "sixel", "iterm2", "kitty", "kitty-cells"}

func (p Protocol) String() string { return ProtocolNames[p] }

// ParseProtocol reads the value of --images and FNF_IMAGES. The second result is false for "auto" and "".
func ParseProtocol(s string) (Protocol, bool, error) {
	if s == "" || s == "auto" {
		return Off, false, nil
	}
	for i, name := range ProtocolNames {
		if s == name {
			return Protocol(i), true, nil
		}
	}
	return Off, false, fmt.Errorf("image protocol %q: want auto, kitty, sixel, iterm2, blocks or off", s)
}
