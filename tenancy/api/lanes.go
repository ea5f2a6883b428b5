package api

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// lanes runs jobs side by side, but those of one lane in the order in which they
// were submitted. Lanes take turns, so that a long one does not starve the others.
type lanes struct {
	mu sync.Mutex
	// jobs of every lane that has some or runs one. Guarded by mu.
	jobs map[string][]func()
	// ready are the lanes with jobs that no worker has. Guarded by mu.
	ready []string
	wake  *sync.Cond
	// closed: no worker waits for more. Guarded by mu.
	closed bool
}

func newLanes() *lanes {
	l := &lanes{jobs: map[string][]func(){}}
	l.wake = sync.NewCond(&l.mu)
	return l
}

// submit never blocks. Bounding what is submitted is the caller's affair.
func (l *lanes) submit(lane string, job func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue, busy := l.jobs[lane]
	l.jobs[lane] = append(queue, job)
	if !busy {
		l.ready = append(l.ready, lane)
		l.wake.Signal()
	}
}

// run works with n workers until ctx ends and every job submitted before, or by
// one of those jobs, is done.
func (l *lanes) run(ctx context.Context, n int) {
	var g errgroup.Group
	for range n {
		g.Go(func() error {
			l.work()
			return nil
		})
	}
	<-ctx.Done()
	l.mu.Lock()
	l.closed = true
	l.wake.Broadcast()
	l.mu.Unlock()
	_ = g.Wait()
}

func (l *lanes) work() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for len(l.ready) == 0 {
			if l.closed && len(l.jobs) == 0 {
				l.wake.Broadcast()
				return
			}
			l.wake.Wait()
		}
		lane := l.ready[0]
		l.ready = l.ready[1:]
		job := l.jobs[lane][0]
		l.mu.Unlock()
		job()
		l.mu.Lock()
		rest := l.jobs[lane][1:]
		if len(rest) == 0 {
			delete(l.jobs, lane)
			if l.closed {
				l.wake.Broadcast()
			}
			continue
		}
		l.jobs[lane] = rest
		l.ready = append(l.ready, lane)
		l.wake.Signal()
	}
}
