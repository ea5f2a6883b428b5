package natsjs_test

import (
	"testing"
	"time"

	"wadm/scheduler/natsjs"
)

// TestHostsThatBeatRegularlyAreNotLookedAfter: heartbeats cost no look, also when all
// hosts of a lattice beat together.
func TestHostsThatBeatRegularlyAreNotLookedAfter(t *testing.T) {
	t.Parallel()
	for _, hosts := range []int{1, 2, 10, 100} {
		var events []time.Duration
		for beat := range 100 {
			for h := range hosts {
				events = append(events, 30*time.Second*time.Duration(beat+1)+time.Second*time.Duration(h)/time.Duration(hosts))
			}
		}
		// Until it is known how they beat.
		if n := natsjs.Looks(time.Minute, events); n > 2 {
			t.Errorf("%d hosts: %d looks in 100 beats", hosts, n)
		}
	}
	if n := natsjs.Looks(time.Minute, []time.Duration{24 * time.Hour}); n > 24*60+5 {
		t.Errorf("no events: %d looks in a day", n)
	}
	lively := []time.Duration{}
	for at := time.Duration(0); at < 5*time.Minute; at += time.Second {
		lively = append(lively, at)
	}
	before := natsjs.Looks(time.Minute, lively)
	if n := natsjs.Looks(time.Minute, append(lively, lively[len(lively)-1]+7*time.Second)); n != before+1 {
		t.Errorf("an event a second, then none for 7 s: %d looks, want %d", n, before+1)
	}
}
