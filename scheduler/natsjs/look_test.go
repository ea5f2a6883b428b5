package natsjs_test

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"wadm/config/natsconn/natstest"
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

func TestAConsumerThatVanishesWithoutAWordIsMissed(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	through, wire := proxied(t, srv)
	in := newIntake(t, open(t, through, natsjs.Config{Probe: 300 * time.Millisecond}))
	o := attach(t, in, claim(t, js, lattice1("default")), false)
	emit(t, nc, "default", "host_started", "one")
	eventually(t, "first event", func() bool { return in.Stats().Acked == 1 })
	eventually(t, "acknowledgement", func() bool {
		c, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-default")
		return err == nil && c.CachedInfo().NumAckPending == 0
	})
	wire.dropAnswers.Store(true)
	if err := js.DeleteConsumer(t.Context(), "wasmbus_events", "wadm-default"); err != nil {
		t.Fatal(err)
	}
	emit(t, nc, "default", "host_started", "two")
	// The server's word of the deletion has been lost once this one has.
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := through.Request("$JS.API.INFO", nil, 50*time.Millisecond); err == nil {
		t.Fatal("the wire loses nothing")
	}
	wire.dropAnswers.Store(false)
	eventually(t, "second event", func() bool { return o.has("two") })
	if diff := cmp.Diff([]string{"one", "two"}, o.seen()); diff != "" {
		t.Error(diff)
	}
}

// TestALostConsumerMakesOthersLookAtTheirs: a quiet lattice hears late that its
// consumer is gone, and whoever loses one seldom loses it alone.
func TestALostConsumerMakesOthersLookAtTheirs(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	through, wire := proxied(t, srv)
	in := newIntake(t, open(t, through, natsjs.Config{}))
	quiet := attach(t, in, claim(t, js, lattice1("quiet")), false)
	attach(t, in, claim(t, js, lattice1("loud")), false)
	if natsjs.Alarmed(in) {
		t.Error("that a lattice was attached gave the alarm")
	}
	wire.dropAnswers.Store(true)
	if err := js.DeleteConsumer(t.Context(), "wasmbus_events", "wadm-quiet"); err != nil {
		t.Fatal(err)
	}
	emit(t, nc, "quiet", "host_started", "one")
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := through.Request("$JS.API.INFO", nil, 50*time.Millisecond); err == nil {
		t.Fatal("the wire loses nothing")
	}
	wire.dropAnswers.Store(false)
	if err := js.DeleteConsumer(t.Context(), "wasmbus_events", "wadm-loud"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event", func() bool { return quiet.has("one") })
}

// setBack gives a time of the same moment as the machine's clock would have told it
// before it was set back by d.
func setBack(t *testing.T, at time.Time, d time.Duration) time.Time {
	t.Helper()
	before := at
	// A time that has both clocks holds the seconds of the wall in the bits above the
	// 30 of the nanoseconds, and the monotonic clock beside them.
	*(*uint64)(unsafe.Pointer(&before)) += uint64(d/time.Second) << 30
	if before.Sub(at) != 0 || before.UnixNano()-at.UnixNano() != int64(d) {
		t.Fatalf("%v and %v are %v apart, and %v by the wall: the form of times is another one", at, before, before.Sub(at), time.Duration(before.UnixNano()-at.UnixNano()))
	}
	return before
}

// TestAnAlarmDoesNotGoByTheWallClock: the clock is set back by an hour after an alarm.
// A lattice that was looked at since is not looked at again, and the next alarm is heard.
func TestAnAlarmDoesNotGoByTheWallClock(t *testing.T) {
	t.Parallel()
	const pause = 5 * time.Second
	var alarms natsjs.Alarms
	now := time.Now()
	alarms.Raise(setBack(t, now, time.Hour))
	if last := alarms.Last(setBack(t, now, time.Hour), pause); !last.Equal(now) {
		t.Fatalf("no alarm at %v: the last one was at %v", now, last)
	}
	looked := now.Add(time.Second)
	if last := alarms.Last(now.Add(2*pause), pause); looked.Before(last) {
		t.Errorf("who was looked at a second after the alarm has to be looked at again: %v", last)
	}
	later := now.Add(3 * pause)
	alarms.Raise(later)
	if last := alarms.Last(later, pause); !last.Equal(later) {
		t.Errorf("an alarm at %v was not heard: the last one was at %v", later, last)
	}
}

// TestLooksAtAQuietLatticeCostNoFurtherRequest: one request stands, however often
// the consumer is looked up.
func TestLooksAtAQuietLatticeCostNoFurtherRequest(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{Probe: 120 * time.Millisecond}))
	looks := watchRequests(t, srv, "CONSUMER.INFO.wasmbus_events.wadm-default")
	attach(t, in, claim(t, js, lattice1("default")), false)
	asked := watchRequests(t, srv, "CONSUMER.MSG.NEXT.wasmbus_events.wadm-default")
	eventually(t, "looks", func() bool { return looks() > 6 })
	c, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-default")
	if err != nil || c.CachedInfo().NumWaiting != 1 || asked() > 1 {
		t.Errorf("%v, %d requests stand, %d were made", err, c.CachedInfo().NumWaiting, asked())
	}
}

// TestEventsThatTheConnectionDroppedDontSlowALatticeDown: requests count as open
// until they have brought their events, and dropped ones never come.
func TestEventsThatTheConnectionDroppedDontSlowALatticeDown(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{Probe: 2 * time.Second}))
	o := attach(t, in, claim(t, js, lattice1("default")), false)
	eventually(t, "a standing request", func() bool {
		emit(t, nc, "default", "host_started", "first")
		return len(o.seen()) > 0
	})
	natsjs.Overcount(in, 100)
	const n = 150
	for i := range n {
		emit(t, nc, "default", "host_heartbeat", fmt.Sprint(i))
	}
	eventually(t, "all events", func() bool { return o.has(fmt.Sprint(n - 1)) })
}
