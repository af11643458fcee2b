package far

import (
	"sync"
	"time"

	"focusnfix/core/run"
)

const (
	lookEvery  = 150 * time.Millisecond // at the logs
	stateEvery = time.Second            // at run.json, config.toml and the engine
	pieceBytes = 16 << 10               // of an image in one frame
)

// sender orders what the far end sends: answers first, then images and logs in turns, as the pace allows.
type sender struct {
	wake chan struct{} // there may be more

	mu     sync.Mutex
	urgent []frame
	images []*picture // wanted, and not yet sent
	logs   []*logTail // nil before the hello
	pace   pace
	turn   int
}

func (s *sender) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// say sends a frame as soon as possible.
func (s *sender) say(f frame) {
	s.mu.Lock()
	s.urgent = append(s.urgent, f)
	s.mu.Unlock()
	s.nudge()
}

// put sends an image.
func (s *sender) put(p *picture) {
	s.mu.Lock()
	s.images = append(s.images, p)
	s.mu.Unlock()
	s.nudge()
}

func (s *sender) ack(total int64) {
	s.mu.Lock()
	s.pace.ack(total, time.Now())
	s.mu.Unlock()
	s.nudge()
}

// follow begins to send logs, from what the near end has.
func (s *sender) follow(f run.Folder, h hello) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = nil
	for i := range logs {
		s.logs = append(s.logs, &logTail{folder: f, log: i, have: h.Logs[i]})
	}
	s.nudge()
}

// next is what is to be sent now, if anything.
func (s *sender) next() (f frame, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.urgent) > 0 {
		f, s.urgent = s.urgent[0], s.urgent[1:]
		return f, true, nil
	}
	if !s.pace.open() {
		return frame{}, false, nil
	}
	defer func() {
		if ok {
			s.pace.send(len(f.data), time.Now())
		}
	}()
	s.turn++
	if s.turn%3 != 0 { // images are waited for
		if f, ok = s.nextImage(); ok {
			return f, true, nil
		}
	}
	for _, log := range s.logs {
		if f, ok, err = log.next(); ok || err != nil {
			return f, ok, err
		}
	}
	f, ok = s.nextImage()
	return f, ok, nil
}

// nextImage is the next piece of the first image that is ready.
func (s *sender) nextImage() (frame, bool) {
	for i, p := range s.images {
		f, last, ok := p.piece()
		if !ok {
			continue
		}
		if last {
			s.images = append(s.images[:i:i], s.images[i+1:]...)
		}
		return f, true
	}
	return frame{}, false
}
