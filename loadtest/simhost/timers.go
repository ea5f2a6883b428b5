package simhost

import "container/heap"

// A timer runs fn, or the host's heartbeat where fn is nil: an idle host then
// costs one heap entry and no closure.
type timer struct {
	at   int64 // nanoseconds since the lattice began
	seq  uint64
	host *Host
	// incarnation of the host the timer belongs to; it lapses with it.
	incarnation uint32
	fn          func()
}

// timers is a heap by time, then by order of arming.
type timers struct {
	heap []timer
	seq  uint64
}

func (t *timers) Len() int { return len(t.heap) }
func (t *timers) Less(i, j int) bool {
	a, b := &t.heap[i], &t.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}
func (t *timers) Swap(i, j int) { t.heap[i], t.heap[j] = t.heap[j], t.heap[i] }
func (t *timers) Push(x any)    { t.heap = append(t.heap, x.(timer)) }
func (t *timers) Pop() any {
	last := len(t.heap) - 1
	x := t.heap[last]
	t.heap[last] = timer{}
	t.heap = t.heap[:last]
	return x
}

func (t *timers) add(x timer) {
	t.seq++
	x.seq = t.seq
	heap.Push(t, x)
}

// due takes the earliest timer that is not after now.
func (t *timers) due(now int64) (timer, bool) {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return timer{}, false
	}
	return heap.Pop(t).(timer), true
}

// next is when the earliest timer is due.
func (t *timers) next() (int64, bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}
