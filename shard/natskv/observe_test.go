package natskv_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

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
	_, err4 := o.Claims(ctx, "t.l")
	for i, err := range []error{err1, err2, err3, err4} {
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
	if hs, err := o.Claims(ctx, "t.m", "t.l"); err != nil || len(hs) != 2 || hs[0].Seq != 0 || hs[1].Seq != seq || !hs[1].HeldBy("life") {
		t.Errorf("claims %v, %v", hs, err)
	}
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
