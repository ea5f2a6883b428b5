package api_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"wadm/tenancy/api"
)

func TestLanesKeepOrderAndRunSideBySide(t *testing.T) {
	t.Parallel()
	l := api.NewLanes()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		api.RunLanes(l, ctx, 4)
	}()
	// Four jobs of four lanes must run at once: each waits for all.
	var together sync.WaitGroup
	together.Add(4)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(1)
		api.Submit(l, fmt.Sprint("side", i), func() {
			defer wg.Done()
			together.Done()
			together.Wait()
		})
	}
	wg.Wait()
	const n, lanes = 200, 7
	var got [lanes][]int
	var running [lanes]atomic.Int32
	for j := range n {
		for i := range lanes {
			wg.Add(1)
			api.Submit(l, fmt.Sprint(i), func() {
				defer wg.Done()
				if running[i].Add(1) != 1 {
					t.Error("two jobs of one lane at once")
				}
				got[i] = append(got[i], j)
				running[i].Add(-1)
			})
		}
	}
	// A job may submit another one, even while the lanes stop.
	wg.Add(2)
	api.Submit(l, "0", func() {
		defer wg.Done()
		api.Submit(l, "next", wg.Done)
	})
	cancel()
	<-done
	wg.Wait()
	for i := range lanes {
		for j, v := range got[i] {
			if j != v {
				t.Fatalf("lane %d ran %d in place of %d", i, v, j)
			}
		}
		if len(got[i]) != n {
			t.Errorf("lane %d ran %d of %d jobs", i, len(got[i]), n)
		}
	}
}
