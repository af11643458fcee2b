// Package far shows a run that stays on another machine. The system's ssh starts this program there as a
// [Relay]; a [Mirror] here keeps an ordinary run folder in the user's cache up to date with it, so that
// whatever reads run folders needs to know nothing of the link. ssh does all authentication, and there is
// no listener on the network.
//
// # Protocol
//
// Both ends write one line and then frames, over the standard input and output of the relay:
//
//	near    focusnfix-attach PROTOCOL VERSION
//	far     focusnfix-relay PROTOCOL VERSION       after whatever the far shell prints before
//	frame   kind, 1 byte; length, 4 bytes, big-endian, at most 1 MiB; that many bytes
//
// Kinds are those of frame.go; one that is not known is ignored. Text is JSON. What the far end sends is not
// trusted: lengths have bounds, names are checked, and everything is written below one folder.
//
// events.jsonl and log.txt come as pieces with their offsets. The near end says how much it has and the
// checksum of the end of that; where it does not fit, the file begins anew. A new link continues there.
// An image comes when it is looked at, once in each size that is needed.
package far
