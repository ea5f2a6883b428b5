package shardtest

import (
	"context"
	"errors"
	"sync"
)

var errLost = errors.New("subscription lost")

// feed is an unbounded queue from one writer to one reader.
type feed[T any] struct {
	mu     sync.Mutex
	items  []T
	failed bool
	signal chan struct{}
}

func newFeed[T any]() *feed[T] { return &feed[T]{signal: make(chan struct{}, 1)} }

func (f *feed[T]) push(x T) {
	f.mu.Lock()
	f.items = append(f.items, x)
	f.mu.Unlock()
	f.wake()
}

func (f *feed[T]) fail() {
	f.mu.Lock()
	f.failed = true
	f.mu.Unlock()
	f.wake()
}

func (f *feed[T]) wake() {
	select {
	case f.signal <- struct{}{}:
	default:
	}
}

func (f *feed[T]) run(ctx context.Context, seen func([]T)) error {
	for {
		f.mu.Lock()
		items, failed := f.items, f.failed
		f.items = nil
		f.mu.Unlock()
		if failed {
			return errLost
		}
		if len(items) > 0 {
			seen(items)
		}
		select {
		case <-f.signal:
		case <-ctx.Done():
			return nil
		}
	}
}
