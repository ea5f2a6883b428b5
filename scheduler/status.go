package scheduler

import (
	"context"
	"errors"
	"sync"
	"time"

	"wadm/scheduler/core"
	"wadm/tenancy"
)

// statusPause is how long the next status of an application waits when only its
// text has changed: a large deploy changes it with every instance, and nobody
// reads that fast. A change of type goes out at once.
const statusPause = 100 * time.Millisecond

// publishTimeout bounds one try to publish.
const publishTimeout = 5 * time.Second

// statusQueue holds the newest unpublished status of each application. Its
// goroutine exists only while there is something to publish.
type statusQueue struct {
	mu      sync.Mutex
	waiting map[string]tenancy.Status
	last    map[string]publishedStatus
	busy    bool
	// kick has room for one: a status that must not wait has come.
	kick chan struct{}
}

type publishedStatus struct {
	kind tenancy.StatusType
	at   time.Time
}

func newStatusQueue() statusQueue {
	return statusQueue{waiting: map[string]tenancy.Status{}, last: map[string]publishedStatus{}, kick: make(chan struct{}, 1)}
}

// put queues a status. The newest of an application replaces the one that still
// waits, so a status is never older than the state it describes. start tells
// that nobody publishes yet.
func (q *statusQueue) put(app string, st tenancy.Status) (news, start bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[app] = st
	if news = q.last[app].kind != st.Status.Type; news {
		select {
		case q.kick <- struct{}{}:
		default:
		}
	}
	start, q.busy = !q.busy, true
	return news, start
}

// again puts a status back that could not be published, unless there is a newer one.
func (q *statusQueue) again(app string, st tenancy.Status) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, newer := q.waiting[app]; !newer {
		q.waiting[app] = st
	}
}

// next takes a status that is due; wait is how long there is none, zero when
// the queue is empty and the publisher has to end.
func (q *statusQueue) next(now time.Time) (app string, st tenancy.Status, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, s := range q.waiting {
		left := statusPause - now.Sub(q.last[name].at)
		if q.last[name].kind != s.Status.Type || left <= 0 {
			delete(q.waiting, name)
			if s.Status.Type == tenancy.StatusUndeployed {
				delete(q.last, name) // it is not heard of again
			} else {
				q.last[name] = publishedStatus{kind: s.Status.Type, at: now}
			}
			return name, s, 0
		}
		if wait == 0 || left < wait {
			wait = left
		}
	}
	if wait == 0 {
		q.busy = false
	}
	return "", tenancy.Status{}, wait
}

// rest waits until d is over or a status that must not wait has come.
func (q *statusQueue) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-q.kick:
	case <-ctx.Done():
	}
}

// publish queues a status and makes sure that somebody publishes it.
func (w *worker) publish(ctx context.Context, st core.AppStatus) {
	news, start := w.statuses.put(st.App, st.Status)
	if news {
		w.log.Info("status", "application", st.App, "status", st.Status.Status.Type, "message", st.Status.Status.Message)
	}
	if start {
		w.start(func() { w.publishStatuses(ctx) })
	}
}

func (w *worker) publishStatuses(ctx context.Context) {
	for ctx.Err() == nil {
		if w.claim.MayAct() != nil {
			// Statuses bear no fence. What an owner that was cut off has to say must
			// not replace what its successor has said.
			w.statuses.rest(ctx, statusPause)
			continue
		}
		app, st, wait := w.statuses.next(time.Now())
		switch {
		case app == "" && wait == 0:
			return
		case app == "":
			w.statuses.rest(ctx, wait)
			continue
		}
		// Bounded, so that the claim is looked at again before the next try.
		limited, cancel := context.WithTimeout(ctx, publishTimeout)
		err := w.s.deps.Statuses.Publish(limited, w.claim.Key, app, st)
		cancel()
		switch {
		case err == nil:
			w.s.Stats.Statuses.Add(1)
		case ctx.Err() != nil:
			// The next owner tells its own.
		case errors.Is(err, context.DeadlineExceeded):
			w.statuses.again(app, st)
		default:
			w.log.Warn("status not published", "application", app, "error", err)
		}
	}
}
