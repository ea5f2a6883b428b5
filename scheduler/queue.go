package scheduler

import (
	"context"
	"sync"
)

// queue holds requests of one kind until there is room for them. A request that
// waits costs its place in the list and no goroutine: a large deploy has thousands.
type queue struct {
	mu      sync.Mutex
	waiting []func(context.Context)
	// busy goroutines are at work, most at the same time.
	busy, most int
}

// put adds a request. It reports whether one more goroutine has to serve the queue.
func (q *queue) put(f func(context.Context)) (serve bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, f)
	if q.busy == q.most {
		return false
	}
	q.busy++
	return true
}

// next takes the oldest request; nil, when there is none, ends the goroutine that asks.
func (q *queue) next() func(context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.busy--
		q.waiting = nil
		return nil
	}
	f := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	return f
}

// task runs f once there is room for it in q. What still waits when ctx ends is dropped.
func (w *worker) task(ctx context.Context, q *queue, f func(context.Context)) {
	if !q.put(f) {
		return
	}
	w.start(func() {
		for f := q.next(); f != nil && ctx.Err() == nil; f = q.next() {
			f(ctx)
		}
	})
}
