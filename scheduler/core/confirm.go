package core

import (
	"maps"
	"slices"
	"strings"
	"time"

	"wadm/scheduler/lattice"
)

// Reply brings the answer to a command.
func (s *State) Reply(c lattice.Command, r lattice.Reply, now time.Time) Decision {
	d := s.begin()
	t := targetOf(&c)
	f := s.flights[t]
	if f == nil || f.cmd.ID != c.ID {
		return s.finish(d, now)
	}
	if r.Outcome == lattice.Unsent {
		// Soon decided anew, and stored anew before it is sent.
		s.postpone(t, f, r.Message, now)
		return s.finish(d, now)
	}
	if t.Host == "" {
		s.sharedReply(t, f, r, now)
		return s.finish(d, now)
	}
	h := s.obs.Hosts[t.Host]
	switch r.Outcome {
	case lattice.Accepted:
		f.accepted = true
		if c.Kind == lattice.StopProvider || f.executed != 0 {
			s.ask(Query{Kind: AskInventory, Host: t.Host}, now)
		}
	case lattice.Refused:
		s.refused(t, f, r.Message, now)
	case lattice.Undelivered:
		// Nobody was there to hear it, so it has not happened and will not.
		s.postpone(t, f, "host does not answer", now)
		s.noResponder(h, now)
	case lattice.Unknown:
		// It may still happen. The host is busy or gone; find out which.
		if h != nil {
			s.hush(h)
			s.ask(Query{Kind: AskInventory, Host: t.Host}, now)
		}
	}
	return s.finish(d, now)
}

// refused handles a host's definite no. Two of its refusals only say that the
// wanted state is there already.
func (s *State) refused(t target, f *flight, message string, now time.Time) {
	already := f.cmd.Kind == lattice.StartProvider && strings.Contains(message, "already running") ||
		f.cmd.Kind == lattice.StopProvider && strings.Contains(message, "not running")
	s.fail(t, message, now)
	if already {
		s.ask(Query{Kind: AskInventory, Host: t.Host}, now)
	}
}

// confirm lands the commands that an event shows to have worked or failed.
func (s *State) confirm(ev lattice.Event, ch *lattice.Changes, now time.Time) {
	switch ev.Kind {
	case lattice.HostHeartbeat:
		if !ch.Stale {
			s.confirmAll(ev.Host, ev.Time.UnixNano())
		}
	case lattice.ComponentScaled:
		s.confirmScaled(ev, now)
	case lattice.ComponentScaleFailed:
		t := target{Host: ev.Host, Workload: lattice.ComponentOf(ev.Component.ID)}
		if f := s.flights[t]; f != nil && f.cmd.Kind == lattice.ScaleComponent && f.cmd.Count == ev.Component.Max && f.cmd.Image == ev.Component.Image && s.mayFollow(&ev, f) {
			s.fail(t, ev.Error, now)
		}
	case lattice.ProviderStarted, lattice.ProviderStopped:
		t := target{Host: ev.Host, Workload: lattice.ProviderOf(ev.Provider.ID)}
		if f := s.flights[t]; f != nil && s.done(t, f) {
			s.succeed(t)
		}
	case lattice.ProviderStartFailed:
		t := target{Host: ev.Host, Workload: lattice.ProviderOf(ev.Provider.ID)}
		f := s.flights[t]
		if f == nil || f.cmd.Kind != lattice.StartProvider || lattice.BareImage(f.cmd.Image) != lattice.BareImage(ev.Provider.Image) || !s.mayFollow(&ev, f) {
			return
		}
		s.fail(t, ev.Error, now)
		if strings.Contains(ev.Error, "already running") {
			s.ask(Query{Kind: AskInventory, Host: ev.Host}, now)
		}
	}
}

// mayFollow tells whether a failure can be that of a command: one from before it was
// sent is that of another. Two of one command are a back-off apart, so that it need
// not be exact.
func (s *State) mayFollow(ev *lattice.Event, f *flight) bool {
	h := s.obs.Hosts[ev.Host]
	return h == nil || h.MayFollow(ev.Time.UnixNano(), f.cmd.SentAt)
}

func (s *State) confirmScaled(ev lattice.Event, now time.Time) {
	t := target{Host: ev.Host, Workload: lattice.ComponentOf(ev.Component.ID)}
	s.overtakenSeen(t)
	f := s.flights[t]
	if f == nil || !s.done(t, f) {
		return
	}
	if !f.change || f.cmd.Kind == lattice.UpdateComponent || f.cmd.Count == 0 {
		s.succeed(t)
		return
	}
	if i := s.obs.Holders(t.Workload)[t.Host]; maps.Equal(i.Annotations, f.cmd.Annotations) && s.keptBy(t.Workload, t.Host) == nil {
		s.succeed(t)
		return
	}
	// The event of the command before it may say the same, and be a moment older.
	if h := s.obs.Hosts[t.Host]; h != nil && ev.Component.Max == f.cmd.Count && ev.Time.UnixNano() > h.HostTime(f.cmd.SentAt) {
		f.executed = ev.Time.UnixNano()
	}
	s.ask(Query{Kind: AskInventory, Host: t.Host}, now)
}

// confirmAll lands what a host's own inventory shows to be done. at is the host's time
// of the inventory: one from before an execution does not tell what came of it.
func (s *State) confirmAll(host lattice.HostID, at int64) {
	for _, t := range slices.SortedFunc(maps.Keys(s.overtaken), compareTargets) {
		if t.Host == host {
			s.overtakenSeen(t)
		}
	}
	for _, t := range slices.SortedFunc(maps.Keys(s.hostFlight[host]), compareTargets) {
		f := s.hostFlight[host][t]
		if !s.done(t, f) {
			continue
		}
		i := s.obs.Holders(t.Workload)[host]
		if i != nil && f.change && f.cmd.Kind == lattice.ScaleComponent &&
			(!maps.Equal(i.Annotations, f.cmd.Annotations) || s.keptBy(t.Workload, t.Host) != nil) {
			// Other configuration names would have changed the annotations too: while they
			// are wanted it may be that the command has not been carried out yet. Only what
			// the host has accepted can have been.
			if f.accepted && f.executed != 0 && at >= f.executed || s.asWanted(t, f) {
				s.keepAnnotations(t, f)
			} else if s.ruleOf(f) != nil {
				continue
			}
		}
		s.succeed(t)
	}
}

// kept says that a host has carried out a command for a rule and kept the annotations
// of before, since it saw nothing to change.
type kept struct {
	// made is the scaler id in the annotations, scaler and spread are the command's.
	made, scaler, spread string
}

// keepAnnotations accepts the annotations of an instance as they are after a command:
// asking again would change nothing.
func (s *State) keepAnnotations(t target, f *flight) {
	s.fewer = true
	i := s.obs.Holders(t.Workload)[t.Host]
	if maps.Equal(i.Annotations, f.cmd.Annotations) {
		drop(s.kept, t.Workload, t.Host)
		return
	}
	put(s.kept, t.Workload, t.Host, kept{
		made:   i.Annotations[lattice.AnnotationScaler],
		scaler: f.cmd.Annotations[lattice.AnnotationScaler], spread: f.cmd.Annotations[lattice.AnnotationSpread],
	})
}

// keptBy is what is noted of an instance's annotations, nil when they speak for
// themselves.
func (s *State) keptBy(w lattice.Workload, host lattice.HostID) *kept {
	i := s.obs.Holders(w)[host]
	if k, noted := s.kept[w][host]; noted && i != nil && k.made == i.Annotations[lattice.AnnotationScaler] {
		return &k
	}
	return nil
}

// pruneKept forgets the notes of an earlier owner that are about nothing any more.
func (s *State) pruneKept() {
	for w, on := range s.kept {
		for host := range on {
			if s.keptBy(w, host) == nil {
				drop(s.kept, w, host)
			}
		}
	}
}

// madeFor is the id of the rule whose configuration an instance has, as far as its
// annotations and what is noted of them tell.
func (s *State) madeFor(w lattice.Workload, host lattice.HostID, i *lattice.Instance) string {
	if k := s.keptBy(w, host); k != nil {
		return k.scaler
	}
	return i.Annotations[lattice.AnnotationScaler]
}

// asWanted tells whether an instance has the configuration names that a command asked
// for, while they are wanted.
func (s *State) asWanted(t target, f *flight) bool {
	rule, i := s.ruleOf(f), s.obs.Holders(t.Workload)[t.Host]
	return rule != nil && rule.sameConfigs(i, s.madeFor(t.Workload, t.Host, i))
}

// ruleOf is the rule that a command was sent for, nil when it is not wanted any more.
func (s *State) ruleOf(f *flight) *scaler {
	if u := s.units[targetOf(&f.cmd).Workload]; u != nil {
		for _, sc := range u.scalers {
			if sc.id == f.cmd.Scaler {
				return sc
			}
		}
	}
	return nil
}

// done tells whether the observed state shows what a command asked for.
func (s *State) done(t target, f *flight) bool {
	i := s.obs.Holders(t.Workload)[t.Host]
	switch f.cmd.Kind {
	case lattice.ScaleComponent:
		if f.cmd.Count == 0 {
			return i == nil
		}
		return i != nil && i.Max == f.cmd.Count && i.Image == f.cmd.Image
	case lattice.UpdateComponent:
		return i != nil && i.Image == f.cmd.Image
	case lattice.StartProvider:
		return i != nil && lattice.BareImage(i.Image) == lattice.BareImage(f.cmd.Image)
	case lattice.StopProvider:
		return i == nil
	}
	return false
}
