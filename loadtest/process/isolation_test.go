package process_test

import (
	"fmt"
	"testing"
	"time"

	"wadm/loadtest/simhost"
	"wadm/tenancy"
)

// TestALatticeThatNeverAnswersSlowsNoOther deploys in one lattice while another
// has hosts that are there and say nothing, and much to do.
func TestALatticeThatNeverAnswersSlowsNoOther(t *testing.T) {
	t.Parallel()
	const components, mute = 2, 20
	r := newRig(t)
	dead := r.lattice("dead", mute, simhost.Config{
		Fate: func(simhost.Record) simhost.Fate { return simhost.Lost },
	})
	live := r.lattice("live", 4, simhost.Config{})
	other := r.lattice("other", 4, simhost.Config{})
	r.start("one", deadline...)
	deployed := func(l *simhost.Lattice, app string) time.Duration {
		t.Helper()
		c := r.client(l.Name())
		r.put(c, app)
		at := time.Now()
		r.deploy(c, "web")
		r.awaitStatus(c, "web", tenancy.StatusDeployed)
		return time.Since(at)
	}
	alone := deployed(other, web(components))

	c := r.client("dead")
	r.put(c, quietApp(100))
	r.deploy(c, "quiet")
	r.eventually("the dead lattice is busy", func() error {
		if n := len(dead.Commands()); n < mute {
			return fmt.Errorf("%d commands", n)
		}
		return nil
	})
	for _, h := range dead.Hosts() {
		if err := h.Mute(time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	beside := deployed(live, web(components))
	t.Logf("a deploy took %v alone and %v beside a lattice that does not answer", alone.Round(time.Millisecond), beside.Round(time.Millisecond))
	// Requests to the dead lattice wait for seconds each; anything that waits for
	// them shows.
	if beside > alone+3*time.Second {
		t.Errorf("a deploy took %v beside a lattice that does not answer, %v without", beside, alone)
	}
	if st, err := c.Status(r.ctx, "quiet"); err != nil || st.Status.Type == tenancy.StatusDeployed {
		t.Errorf("status of the dead lattice is %+v, %v", st.Status, err)
	}
	for _, l := range []*simhost.Lattice{dead, live, other} {
		spotless(t, l)
	}
}
