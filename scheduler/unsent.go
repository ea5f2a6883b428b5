package scheduler

import (
	"maps"
	"slices"
	"sync"
	"time"

	"wadm/scheduler/lattice"
)

// unsent keeps the ids of commands that have not left. Taking one out is the
// right to send it, so that what close returns has not left and never will.
type unsent struct {
	mu     sync.Mutex
	ids    map[string]bool
	closed bool
	// took is when the newest was taken out.
	took time.Time
}

func (u *unsent) add(cmds []lattice.Command) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids == nil {
		u.ids = map[string]bool{}
	}
	for _, c := range cmds {
		u.ids[c.ID] = true
	}
}

// take reports whether the command may leave, which it may once.
func (u *unsent) take(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	ok := u.ids[id] && !u.closed
	if ok {
		delete(u.ids, id)
		u.took = time.Now()
	}
	return ok
}

// left is when the newest command has left; zero: none has.
func (u *unsent) left() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.took
}

// close lets nothing leave any more and returns what has not, sorted.
func (u *unsent) close() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	return slices.Sorted(maps.Keys(u.ids))
}
