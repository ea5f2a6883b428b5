package natskv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/ring"
)

func TestAnObserverSeesWhatInstancesWroteAndCreatesNothing(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	o, err := natskv.NewObserver(nc, natskv.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, err1 := o.Members(ctx)
	_, _, err2 := o.View(ctx)
	_, err3 := o.Keys(ctx)
	_, err4 := o.Claims(ctx)
	_, err5 := o.Claim(ctx, "t.l")
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, natskv.ErrAbsent) {
			t.Errorf("question %d on an empty server: %v", i, err)
		}
	}
	s := open(t, srv)
	if _, _, err := o.View(ctx); !errors.Is(err, natskv.ErrAbsent) {
		t.Errorf("no view yet: %v", err)
	}
	m := shard.Member{
		ID: "b", Incarnation: "life", Started: time.Now().UTC(), Schema: shard.Schema,
		Fingerprint: ring.DefaultParams().Fingerprint(), Units: 4, State: shard.MemberActive,
	}
	for _, id := range []shard.MemberID{"b", "a"} {
		m.ID = id
		if _, err := s.PutMember(ctx, m, 0); err != nil {
			t.Fatal(err)
		}
	}
	if hs, err := o.Claims(ctx); err != nil || len(hs) != 0 {
		t.Errorf("no claims yet: %v, %v", hs, err)
	}
	rev, err := s.PutView(ctx, shard.View{
		Schema: shard.Schema, Params: ring.DefaultParams(), Fingerprint: m.Fingerprint,
		Members: []shard.ViewMember{{ID: "a", Incarnation: "life", Units: 4, State: shard.MemberActive}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []shard.Key{"t.m", "t.l"} {
		if err := s.Registry().Register(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	seq, err := s.Put(ctx, "t.l", shard.Record{Owner: "a", Incarnation: "life", State: shard.Held}, 0)
	if err != nil {
		t.Fatal(err)
	}

	if ms, err := o.Members(ctx); err != nil || len(ms) != 2 || ms[0].ID != "a" || ms[1].ID != "b" || ms[0].At.IsZero() || ms[0].Ago <= 0 || ms[0].Ago > time.Minute {
		t.Errorf("members %v, %v", ms, err)
	}
	if v, at, err := o.View(ctx); err != nil || v.Rev != rev || !v.Has("a", "life") || at.IsZero() {
		t.Errorf("view %v of %v, %v", v, at, err)
	}
	if ks, err := o.Keys(ctx); err != nil || len(ks) != 2 || ks[0] != "t.l" {
		t.Errorf("keys %v, %v", ks, err)
	}
	if hs, err := o.Claims(ctx); err != nil || len(hs) != 1 || hs["t.l"].Seq != seq || !hs["t.l"].HeldBy("life") {
		t.Errorf("claims %v, %v", hs, err)
	}
	if h, err := o.Claim(ctx, "t.l"); err != nil || h.Key != "t.l" || h.Seq != seq || !h.HeldBy("life") {
		t.Errorf("claim %v, %v", h, err)
	}
	if h, err := o.Claim(ctx, "t.m"); err != nil || h.Key != "t.m" || h.Seq != 0 {
		t.Errorf("claim of nobody %v, %v", h, err)
	}
}

// TestManyClaimsAreAFewRequests, and what brought them is not left behind.
func TestManyClaimsAreAFewRequests(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := open(t, srv)
	const many = 3000
	var puts errgroup.Group
	puts.SetLimit(16)
	for i := range many {
		puts.Go(func() error {
			k := shard.Key(fmt.Sprintf("t.l%d", i))
			seq, err := s.Put(t.Context(), k, shard.Record{Owner: "a", Incarnation: "life", State: shard.Held}, 0)
			if err == nil && i%2 == 0 {
				_, err = s.Put(t.Context(), k, shard.Record{Owner: "b", Incarnation: "next", State: shard.Held}, seq)
			}
			return err
		})
	}
	if err := puts.Wait(); err != nil {
		t.Fatal(err)
	}
	o, err := natskv.NewObserver(srv.Connect(t), natskv.Config{})
	if err != nil {
		t.Fatal(err)
	}
	listener := srv.Connect(t)
	requests, err := listener.SubscribeSync("$JS.API.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Flush(); err != nil {
		t.Fatal(err)
	}
	heads, err := o.Claims(t.Context())
	if err != nil || len(heads) != many {
		t.Fatalf("%d claims, %v", len(heads), err)
	}
	for i := range many {
		k, life := shard.Key(fmt.Sprintf("t.l%d", i)), shard.Incarnation("life")
		if i%2 == 0 {
			life = "next"
		}
		if h := heads[k]; h.Key != k || !h.HeldBy(life) {
			t.Fatalf("claim of %s is %+v, want one of %s", k, h, life)
		}
	}
	if err := listener.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := requests.Pending(); err != nil || n == 0 || n > many/100 {
		t.Errorf("%d requests, %v", n, err)
	}
	st, err := s.JetStream().Stream(t.Context(), natskv.DefaultLedger)
	if err != nil {
		t.Fatal(err)
	}
	if n := st.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers are left", n)
	}
}

// TestSilentClaimsAreNotWaitedForLonger than the caller wants to.
func TestSilentClaimsAreNotWaitedForLonger(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, srv *natstest.Server) {
		s, wire := openFaulty(t, srv)
		o, err := natskv.NewObserver(s.JetStream().Conn(), natskv.Config{})
		if err != nil {
			t.Fatal(err)
		}
		wire.Set(natstest.Holding)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		if hs, err := o.Claims(ctx); !errors.Is(err, context.DeadlineExceeded) || hs != nil {
			t.Errorf("read %v, %v", hs, err)
		}
		if d := time.Since(began); d != 2*time.Second {
			t.Errorf("it took %s", d)
		}
		wire.Set(natstest.Passing)
		time.Sleep(10 * time.Millisecond) // what was held back arrives
	})
}

func TestAnInstanceIsAskedToDrainByItsName(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := natskv.RequestDrain(ctx, nc, "a"); !errors.Is(err, natskv.ErrNoInstance) {
		t.Fatalf("nobody there: %v", err)
	}
	if _, err := natskv.RequestDrain(ctx, nc, "a.>"); err == nil || errors.Is(err, natskv.ErrNoInstance) {
		t.Fatalf("a name that is no name: %v", err)
	}
	serving, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	asked := 0
	go func() {
		inbox := func(s string) bool { return strings.HasPrefix(s, "_INBOX.") }
		done <- natskv.ServeDrain(serving, nc, "a", inbox, func() natskv.DrainReply { asked++; return natskv.DrainReply{Held: 7, Already: asked > 1} })
	}()
	var r natskv.DrainReply
	var err error
	for {
		if r, err = natskv.RequestDrain(ctx, nc, "a"); !errors.Is(err, natskv.ErrNoInstance) {
			break
		}
	}
	if err != nil || r != (natskv.DrainReply{Instance: "a", Held: 7}) {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := nc.PublishRequest("wadm.sys.a.drain", "wasmbus.ctl.v1.default.host.stop.N", nil); err != nil {
		t.Fatal(err)
	}
	if r, err = natskv.RequestDrain(ctx, nc, "a"); err != nil || !r.Already {
		t.Errorf("asked again: %+v, %v", r, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if asked != 2 {
		t.Errorf("drained %d times, of which 2 by somebody with an inbox", asked)
	}
}

// Who asked and heard nothing asks again, and is told whether it was heard then.
func TestARequestToDrainWithoutAnswerIsMadeAgain(t *testing.T) {
	t.Parallel()
	for mode, heard := range map[natstest.WireMode]bool{natstest.Losing: false, natstest.Holding: true} {
		t.Run(map[bool]string{true: "heard", false: "not heard"}[heard], func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			nc := srv.Connect(t)
			serving, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				drained := 0
				done <- natskv.ServeDrain(serving, nc, "a", func(string) bool { return true }, func() natskv.DrainReply {
					drained++
					return natskv.DrainReply{Held: drained}
				})
			}()
			asks, wire := srv.Faulty(t)
			request := func(limit time.Duration) (natskv.DrainReply, error) {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				return natskv.RequestDrain(ctx, asks, "a")
			}
			eventually(t, "it is served", func() bool {
				_, err := request(10 * time.Second)
				return err == nil
			})
			wire.Set(mode)
			_, err := request(200 * time.Millisecond)
			wire.Set(natstest.Passing)
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, natskv.ErrNoInstance) {
				t.Errorf("without answer: %v", err)
			}
			times := map[bool]int{false: 2, true: 3}[heard]
			if r, err := request(10 * time.Second); err != nil || r.Held != times {
				t.Errorf("asked again: %+v, %v, want that it is the time %d", r, err, times)
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
