package shard_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
	"wadm/shard/ring"
)

// blind are views whose subscriptions can go silent without a word; one begun later works.
type blind struct {
	shard.Views
	gen atomic.Int64
}

func (b *blind) WatchView(ctx context.Context, seen func(*shard.View)) error {
	gen := b.gen.Load()
	return b.Views.WatchView(ctx, func(v *shard.View) {
		if b.gen.Load() == gen {
			seen(v)
		}
	})
}

func TestASubscriptionToTheViewThatWentBlindIsBegunAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20)
		is := r.fleetOf(2)
		ports := r.w.Link().Ports()
		views := &blind{Views: ports.Views}
		ports.Views = views
		f, err := shard.New(ports, shard.FleetConfig{Instance: "wadm-9", NewIncarnation: r.life("wadm-9")})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx, newOwners().own) }()
		time.Sleep(40 * time.Second)
		views.gen.Add(1)
		r.crash(is[1])
		time.Sleep(10 * time.Second)
		all := r.w.Views()
		if got, want := f.Status().View.Rev, all[len(all)-1].Rev; got != want {
			t.Errorf("follows view %d, the last is %d", got, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAnInstanceThatComputesAnotherRingIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 5)
		is := r.fleetOf(2)
		s := is[0].fleet.Status()
		beat := shard.Beat{ID: "odd", Incarnation: "odd-1", View: s.View.Rev, Digest: s.Digest + 1}
		for _, tc := range []struct {
			digest uint64
			want   []shard.MemberID
		}{{s.Digest + 1, []shard.MemberID{"odd"}}, {s.Digest, nil}} {
			beat.Digest = tc.digest
			if err := r.w.Link().SendBeat(beat); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := is[0].fleet.Status().Disagree; !slices.Equal(got, tc.want) {
				t.Errorf("disagrees with %v, want %v", got, tc.want)
			}
		}
	})
}

// An instance of another schema that comes changes nothing for the others.
func TestOthersCarryOnBesideAnInstanceOfAnotherSchema(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 30)
		is := r.fleetOf(3)
		views, claims := len(r.w.Views()), len(r.w.Log())
		ports := r.w.Link().Ports()
		m := shard.Member{
			ID: "odd", Incarnation: "odd-1", Schema: shard.Schema + 1, Fingerprint: ring.DefaultParams().Fingerprint(),
			Units: ring.FullUnits, State: shard.MemberActive,
		}
		rev := uint64(0)
		for n := range 120 {
			if n%8 == 0 {
				var err error
				if rev, err = ports.Members.PutMember(t.Context(), m, rev); err != nil {
					t.Fatal(err)
				}
			}
			if err := ports.Beats.SendBeat(shard.Beat{ID: "odd", Incarnation: "odd-1", View: is[0].fleet.Status().View.Rev}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(250 * time.Millisecond)
		}
		if v, c := len(r.w.Views())-views, len(r.w.Log())-claims; v != 0 || c != 0 {
			t.Errorf("%d views and %d claims because of it", v, c)
		}
		for _, i := range is {
			if err := i.fleet.Ready(); err != nil {
				t.Errorf("%s: %v", i.id, err)
			}
		}
		foreign := slices.ContainsFunc(is[0].fleet.Status().Members, func(m shard.MemberStatus) bool {
			return m.ID == "odd" && m.Foreign && !m.InView
		})
		if !foreign {
			t.Error("the others' status does not call it foreign")
		}
		r.mustCover("beside it")
	})
}
