package far

import "time"

const (
	leastWindow = 32 << 10 // bytes
	firstWindow = 64 << 10
	mostWindow  = 4 << 20
)

// pace bounds how much of logs and images is under way, so that an answer does not wait behind seconds of
// them in the buffers of ssh. The window grows while acknowledgments come promptly and shrinks when they
// come late, as in LEDBAT (RFC 6817).
type pace struct {
	window      int // bytes
	sent, acked int64
	marks       []mark        // what is under way
	quickest    time.Duration // from sending to acknowledgment, so far
	shrunk      int64         // sent when the window last shrank
}

// mark is when a byte count was reached.
type mark struct {
	sent int64
	at   time.Time
}

// late is how much longer than the quickest acknowledgment one may take before the window shrinks.
const late = 400 * time.Millisecond

// open reports whether more may be sent. One frame may exceed the window.
func (p *pace) open() bool { return p.sent-p.acked < int64(max(p.window, leastWindow)) }

func (p *pace) send(bytes int, now time.Time) {
	p.sent += int64(bytes)
	p.marks = append(p.marks, mark{p.sent, now})
}

// ack takes in that so many bytes have come in all.
func (p *pace) ack(total int64, now time.Time) {
	if total <= p.acked || total > p.sent {
		return
	}
	var took time.Duration
	n := 0
	for n < len(p.marks) && p.marks[n].sent <= total {
		took = now.Sub(p.marks[n].at)
		n++
	}
	p.marks = p.marks[n:]
	got := int(total - p.acked)
	p.acked = total
	if n == 0 {
		return
	}
	if p.quickest == 0 || took < p.quickest {
		p.quickest = took
	}
	switch wait := took - p.quickest; {
	case wait < late/4:
		p.window = min(max(p.window, firstWindow)+got, mostWindow)
	case wait > late && p.acked > p.shrunk:
		p.window, p.shrunk = max(p.window/2, leastWindow), p.sent
	}
}
