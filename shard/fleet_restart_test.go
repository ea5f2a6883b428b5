package shard_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The new process never heard the life before it: what the others know of its end
// has to come with the view.
func TestACrashAndAQuickRestartTakeNoLongerThanACrash(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		for _, who := range []int{0, 1} {
			for _, away := range []int{100, 300, 1000, 1400, 1580, 1700, 1900} {
				t.Run(fmt.Sprintf("%d of %d away for %d ms", who, n, away), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						r := newRig(t, 30)
						i := r.fleetOf(n)[who]
						time.Sleep(time.Duration(away) * 7 % 250 * time.Millisecond) // any phase of its beats
						delete(r.all, i.id)
						r.crash(i)
						time.Sleep(time.Duration(away) * time.Millisecond)
						r.start(i.id)
						time.Sleep(5 * time.Second)
						if p50, worst := r.gaps(); worst > 2350*time.Millisecond {
							t.Errorf("keys were not acted for: p50 %s, worst %s", p50, worst)
						}
						r.mustCover("after the restart")
						i.cancel()
						<-i.done //nolint:errcheck // it was cut off: however it ended
					})
				})
			}
		}
	}
}
