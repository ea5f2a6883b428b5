package core_test

import (
	"fmt"
	"testing"
	"time"

	"wadm/scheduler/lattice"
)

// TestAMoveStopsNoMoreThanHasArrived: many hosts hand over to others of which most
// are mute for a while.
func TestAMoveStopsNoMoreThanHasArrived(t *testing.T) {
	t.Parallel()
	const n = 20
	for _, kind := range []string{"component", "provider"} {
		w := newWorld()
		for i := range n {
			w.addHost(lattice.HostID(fmt.Sprintf("old%02d", i)), map[string]string{"zone": "e"})
			w.addHost(lattice.HostID(fmt.Sprintf("new%02d", i)), map[string]string{"zone": "w"})
		}
		deploy := func(zone string) {
			w.apps["shop"] = parseApp(t, "shop", []string{fmt.Sprintf("%s web image=web:1 instances=%d spread=all:zone=%s", kind, n, zone)})
			w.desired()
		}
		deploy("e")
		w.run(20 * time.Second)
		for i := 7; i < n; i++ {
			w.hosts[lattice.HostID(fmt.Sprintf("new%02d", i))].busy = w.now.Add(time.Minute)
		}
		deploy("w")
		least := n
		w.watch = func() {
			running := 0
			for _, h := range w.hosts {
				for _, x := range h.workloads {
					running += int(x.max)
				}
			}
			least = min(least, running)
		}
		w.run(10 * time.Second)
		w.watch = nil
		w.run(3 * time.Minute)
		if least < n {
			t.Errorf("only %d of %d of a %s ran while it moved", least, n, kind)
		}
		if problems := verify(w); len(problems) > 0 {
			t.Errorf("%s: %v", kind, problems)
		}
	}
}
