package shard

import (
	"container/heap"
	"time"
)

// wake says when a key is to be looked at again.
type wake struct {
	at time.Time
	l  *lane
}

type wakeHeap []wake

func (w wakeHeap) Len() int           { return len(w) }
func (w wakeHeap) Less(i, j int) bool { return w[i].at.Before(w[j].at) }
func (w wakeHeap) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *wakeHeap) Push(x any)        { *w = append(*w, x.(wake)) }
func (w *wakeHeap) Pop() any {
	o := *w
	x := o[len(o)-1]
	*w = o[:len(o)-1]
	return x
}

func (h *Holdings) wakeAt(l *lane, at time.Time) { heap.Push(&h.wakes, wake{at, l}) }
