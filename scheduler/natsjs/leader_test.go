package natsjs_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler/natsjs"
)

// TestANewLeaderOfTheStreamIsAGapForEveryLattice: what was published before it led is
// stored nowhere. Not all lattices ask their hosts at once, none does so twice.
func TestANewLeaderOfTheStreamIsAGapForEveryLattice(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, srv *natstest.Server) {
		js := srv.JetStream(t)
		streams := open(t, srv.Connect(t), natsjs.Config{})
		in := newIntake(t, streams)
		natsjs.Elect(streams, "n1")
		var owners []*owner
		for i := range natsjs.GapsPerSweep + 20 {
			owners = append(owners, attach(t, in, claim(t, js, lattice1(fmt.Sprint("l", i))), false))
		}
		// gaps counts those of all lattices after d, beside the first one of each.
		gaps := func(d time.Duration) (n int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			for _, o := range owners {
				n += o.gapCount() - 1
			}
			return n
		}
		if n := gaps(10 * time.Second); n != 0 {
			t.Errorf("%d gaps without a new leader", n)
		}
		// Between two sweeps, which come every second.
		time.Sleep(time.Second - time.Duration(time.Now().Nanosecond()) + 700*time.Millisecond)
		natsjs.Elect(streams, "n2")
		if n := gaps(400 * time.Millisecond); n != 0 {
			t.Errorf("%d gaps while the leader may not have all events yet", n)
		}
		// Attached while events may be lost still.
		owners = append(owners, attach(t, in, claim(t, js, lattice1("late")), false))
		if n := gaps(time.Second); n != natsjs.GapsPerSweep {
			t.Errorf("%d gaps at the first sweep, want %d", n, natsjs.GapsPerSweep)
		}
		natsjs.Elect(streams, "n2")
		if n := gaps(10 * time.Second); n != len(owners) {
			t.Errorf("%d gaps in all, want %d", n, len(owners))
		}
		owners = append(owners, attach(t, in, claim(t, js, lattice1("later")), false))
		if n := gaps(10 * time.Second); n != len(owners)-1 {
			t.Errorf("%d gaps once another lattice was attached, want none of it", n)
		}
	})
}
