package torch

import (
	"fmt"
	"strings"
)

// Error is what an operator panics with and what Run returns.
type Error struct {
	Op        string   // operator, "aten::matmul" say
	Arguments []string // its tensor arguments as "float32[2,3]"
	Message   string   // libtorch's own words, shortened to their first line
}

func (e *Error) Error() string {
	if len(e.Arguments) == 0 {
		return e.Op + ": " + e.Message
	}
	return fmt.Sprintf("%s(%s): %s", e.Op, strings.Join(e.Arguments, ", "), e.Message)
}

// OutOfMemory reports whether the device had no memory left for the operator's result.
func (e *Error) OutOfMemory() bool {
	return strings.Contains(e.Message, "out of memory") || strings.Contains(e.Message, "can't allocate memory")
}

const maxMessage = 400 // bytes of libtorch's message that are kept

// shorten keeps what a reader needs of a libtorch message: no C++ source position, no backtrace.
func shorten(message string) string {
	message, _, _ = strings.Cut(message, "\nException raised from")
	message, _, _ = strings.Cut(message, "\nCUDA kernel errors might be")
	if i := strings.Index(message, "] . "); i >= 0 && strings.HasPrefix(message, "[enforce fail at") {
		message = message[i+len("] . "):]
	}
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	return message
}
