package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// linkTarget is one link that is wanted, or that we made and is to go.
type linkTarget struct {
	// want is nil when the link is to go.
	want    *lattice.Link
	scalers []*scaler
	// owner is the application the link was made for.
	owner string
	// made: we put it, or took it over, so it is ours to delete.
	made bool
	// unsure: it or another one of its key has been deleted. A list that does not show
	// it tells, one that does counts when it was asked for then or later. Zero when sure.
	unsure time.Time
	// late: until then a command without a prompt answer may still be carried out.
	// Zero once the links have been listed after that.
	late time.Time
}

const (
	// listLag is how far a host's list of links may lag behind a change.
	listLag = 5 * time.Second
	// promptly is how soon an answer must come to be that of the first host asked: a
	// link or a configuration is asked of another one when none has come for a second.
	promptly = 750 * time.Millisecond
)

func (s *State) linkObserved(id lattice.LinkID) {
	if s.links[id] != nil {
		s.dirty.links[id] = true
	}
	s.listLink(id)
	// A link of the same key in the way of a wanted one, or no longer in its way.
	for _, other := range s.linkKeys[keyOf(id)] {
		if other != id && s.links[other] != nil {
			s.dirty.links[other] = true
		}
	}
	s.touchEnds(id)
	s.reviewLinkConfigs(id)
}

// touchEnds marks the workloads that wait for a link to go.
func (s *State) touchEnds(id lattice.LinkID) {
	for _, end := range []lattice.WorkloadID{id.Source, id.Target} {
		for _, w := range []lattice.Workload{lattice.ComponentOf(end), lattice.ProviderOf(end)} {
			if s.units[w] != nil {
				s.dirty.units[w] = true
			}
		}
	}
}

// keyOf is what a host's delete goes by: it can't tell links apart that share it.
func keyOf(id lattice.LinkID) lattice.LinkID {
	id.Target = ""
	return id
}

// listLink brings the list of links by key up to date about one of them.
func (s *State) listLink(id lattice.LinkID) {
	key := keyOf(id)
	ids := s.linkKeys[key]
	at, listed := slices.BinarySearchFunc(ids, id, compareLinks)
	_, there := s.obs.Links[id]
	switch there = there || s.links[id] != nil; {
	case there && !listed:
		s.linkKeys[key] = slices.Insert(ids, at, id)
	case !there && listed && len(ids) == 1:
		delete(s.linkKeys, key)
	case !there && listed:
		s.linkKeys[key] = slices.Delete(ids, at, at+1)
	}
}

// forgetLink forgets a link that is gone.
func (s *State) forgetLink(id lattice.LinkID) {
	drop(s.endGoing, id.Source, id)
	drop(s.endGoing, id.Target, id)
	drop(s.appGoing, s.links[id].owner, id)
	delete(s.links, id)
	s.listLink(id)
}

// linksGoing tells whether a link of the workload is still to be deleted, and
// may yet be: what has failed is not waited for.
func (s *State) linksGoing(w lattice.WorkloadID) bool {
	for id := range s.endGoing[w] {
		if _, there := s.obs.Links[id]; there && s.backoffs[target{Link: id}] == nil {
			return true
		}
	}
	return false
}

func (s *State) evalLink(id lattice.LinkID, now time.Time) {
	l := s.links[id]
	if l == nil {
		return
	}
	t := target{Link: id}
	have, there := s.obs.Links[id]
	s.lookAfter(Query{Kind: AskLinks}, l.unsure)
	busy := !l.unsure.IsZero() || s.nobody() || s.flights[t] != nil || s.waiting(t, "", now) != nil
	switch {
	case l.want == nil && s.frozen[l.owner]:
		return
	case l.want == nil && !there && s.obs.LinksKnown && s.flights[t] == nil && s.mayReappear(l.late, now):
		s.lookAfter(Query{Kind: AskLinks}, l.late)
		s.dirty.apps[l.owner] = true
		s.touchEnds(id)
		return
	case l.want == nil && !there && s.obs.LinksKnown && s.flights[t] == nil:
		s.fewer = s.fewer || l.made
		s.forgetLink(id)
		s.reviewLinkConfigs(id)
		s.dirty.apps[l.owner] = true
		s.touchEnds(id)
		return
	case l.want == nil:
		if there && !busy {
			s.deleteLink(have, l.owner, fmt.Sprintf("no deployed application wants the link of application %q", l.owner), now)
		}
		return
	case there && have.Equal(*l.want):
		if !l.made {
			l.made, s.dirtyState = true, true
		}
		s.lookAfter(Query{Kind: AskLinks}, l.late)
	case !s.obs.LinksKnown || busy:
	case s.unready(l.owner, l.want.SourceConfig) != "" || s.unready(l.owner, l.want.TargetConfig) != "":
	default:
		s.replaceLink(id, l, now)
	}
	s.reportLink(id, l, now)
}

// replaceLink puts the wanted link, after deleting one that a host would refuse
// it for: same key and an interface in common, but another target.
func (s *State) replaceLink(id lattice.LinkID, l *linkTarget, now time.Time) {
	for _, other := range s.linkKeys[keyOf(id)] {
		o, there := s.obs.Links[other]
		if other == id || !there || !overlap(o.Interfaces, l.want.Interfaces) {
			continue
		}
		if x := s.links[other]; x != nil && x.want != nil {
			continue // wanted as well: the host's refusal will say so
		}
		if t := (target{Link: other}); s.flights[t] == nil && s.waiting(t, "", now) == nil {
			s.deleteLink(o, l.owner, fmt.Sprintf("in the way of the link to %s", id.Target), now)
		}
		return
	}
	if !l.made {
		l.made, s.dirtyState = true, true
	}
	reason := "the link is not there"
	if _, there := s.obs.Links[id]; there {
		reason = "the link differs from the manifest"
	}
	s.issue(lattice.Command{Kind: lattice.PutLink, Link: l.want, App: l.owner, Scaler: l.scalers[0].id, Reason: reason}, false, now)
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

func (s *State) deleteLink(l lattice.Link, app, reason string, now time.Time) {
	s.issue(lattice.Command{Kind: lattice.DeleteLink, Link: &l, App: app, Reason: reason}, false, now)
}

func (s *State) reportLink(id lattice.LinkID, l *linkTarget, now time.Time) {
	st, why := tenancy.StatusInfo{Type: tenancy.StatusDeployed}, ReasonAsWanted
	have, there := s.obs.Links[id]
	if !there || !have.Equal(*l.want) {
		st = tenancy.StatusInfo{Type: tenancy.StatusReconciling, Message: fmt.Sprintf("Putting link definition between %s and %s", id.Source, id.Target)}
		if why = ReasonUnderWay; s.unready(l.owner, l.want.SourceConfig) != "" || s.unready(l.owner, l.want.TargetConfig) != "" {
			why = ReasonConfiguration
		}
		if b := s.waiting(target{Link: id}, "", now); b != nil {
			st, why = tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: b.reason}, ReasonCommandFailed
		} else if m := s.absent(append(slices.Clone(l.want.SourceConfig), l.want.TargetConfig...)); m != "" {
			st, why = tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: m}, ReasonNoSuchConfig
		}
	}
	for _, sc := range l.scalers {
		sc.status, sc.reason = st, why
		s.dirty.apps[sc.app] = true
	}
}

// sharedReply handles the answer to a link or configuration command. These are
// done when they are answered, and idempotent, so everything but a clear success
// is simply compared and asked again after a wait.
func (s *State) sharedReply(t target, f *flight, r lattice.Reply, now time.Time) {
	if r.Outcome == lattice.Unknown || now.Sub(f.cmd.SentAt) > promptly {
		s.mayComeLate(f)
	}
	if r.Outcome != lattice.Accepted {
		reason := r.Message
		if reason == "" {
			reason = fmt.Sprintf("no answer to %s", f.cmd.Kind)
		}
		s.fail(t, reason, now)
		s.lookFirst(t, now)
		if t.Config != "" {
			s.ask(Query{Kind: AskConfig, Config: t.Config}, now)
		} else {
			s.ask(Query{Kind: AskLinks}, now)
		}
		return
	}
	switch f.cmd.Kind {
	case lattice.PutLink:
		s.linkChanged[t.Link] = now
		s.obs.Links[t.Link] = *f.cmd.Link
	case lattice.DeleteLink:
		s.linkDeleted(t.Link, now)
	case lattice.PutConfig:
		s.obs.Configs[t.Config] = lattice.ConfigFact{Exists: true, Value: f.cmd.ConfigValue}
	case lattice.DeleteConfig:
		s.obs.Configs[t.Config] = lattice.ConfigFact{}
	}
	s.succeed(t)
	if t.Config != "" {
		s.configChanged(t.Config)
		return
	}
	s.linkObserved(t.Link)
}

// mayComeLate notes that a command may be carried out, or be carried out once
// more, long after, by a host that was busy.
func (s *State) mayComeLate(f *flight) {
	s.lookFirst(targetOf(&f.cmd), f.cmd.SentAt.Add(s.cfg.CommandDeadline))
}

// lookFirst has a configuration or link read after a moment before it can be
// forgotten: what is known of it may be wrong.
func (s *State) lookFirst(t target, until time.Time) {
	if c := s.configs[t.Config]; c != nil && until.After(c.late) {
		c.late = until
	}
	if l := s.links[t.Link]; l != nil && until.After(l.late) {
		l.late = until
	}
}

// linkDeleted takes in that a host has deleted a link. A host goes by the key
// alone, so where links share one another may be the one that is gone.
func (s *State) linkDeleted(id lattice.LinkID, now time.Time) {
	alone := true
	// A list of now may be from before.
	until := now.Add(listLag)
	for _, other := range s.linkKeys[keyOf(id)] {
		_, there := s.obs.Links[other]
		// What no list shows yet may be there all the same.
		if l := s.links[other]; other == id || !there && (l == nil || l.late.IsZero() && s.flights[target{Link: other}] == nil) {
			continue
		}
		alone = false
		delete(s.linkChanged, other)
		s.lookFirst(target{Link: other}, until)
	}
	if alone {
		s.linkChanged[id] = now
		delete(s.obs.Links, id)
		return
	}
	if l := s.links[id]; l != nil {
		l.unsure = until
	}
	delete(s.linkChanged, id)
	s.lookFirst(target{Link: id}, until)
	s.ask(Query{Kind: AskLinks}, now)
}

// LinksListed answers AskLinks.
func (s *State) LinksListed(links []lattice.Link, now time.Time) Decision {
	d := s.begin()
	asked, ok := s.answered(Query{Kind: AskLinks}, now)
	if !ok {
		return s.finish(d, now)
	}
	// What changed a moment ago may not be in the list yet: of that the list is
	// believed when it has had the time.
	listed := make(map[lattice.LinkID]lattice.Link, len(links))
	for _, l := range links {
		listed[l.ID()] = l
	}
	for id, at := range s.linkChanged {
		if asked.Sub(at) >= listLag {
			delete(s.linkChanged, id)
			continue
		}
		said, shown := listed[id]
		have, there := s.obs.Links[id]
		if shown != there || there && !said.Equal(have) {
			s.lookAt(Query{Kind: AskLinks}, at.Add(listLag))
		}
		if delete(listed, id); there {
			listed[id] = have
		}
	}
	links = slices.Collect(maps.Values(listed))
	for id, l := range s.links {
		if _, shown := listed[id]; !shown || !asked.Before(l.unsure) {
			l.unsure = time.Time{}
		}
		if !asked.Before(l.late) {
			l.late = time.Time{}
		}
	}
	for _, id := range s.obs.SetLinks(links) {
		s.linkObserved(id)
	}
	for id := range s.links {
		s.dirty.links[id] = true
	}
	return s.finish(d, now)
}

// LinksFailed says that nobody listed the links; without any host there are none
// to list.
func (s *State) LinksFailed(now time.Time) Decision {
	d := s.begin()
	q := Query{Kind: AskLinks}
	if len(s.obs.Hosts) == 0 {
		delete(s.queries, q)
	} else {
		s.failed(q, retryLate, now)
	}
	return s.finish(d, now)
}
