package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// Texts that clients show and people search for.
const (
	textUndeployed  = "Manifest has been undeployed"
	textUnreadable  = "The stored manifest cannot be read; what runs is left as it is"
	textUndeploying = "Manifest is being undeployed"
	textConflict    = "Configuration %s is defined differently by application %q"
	textNoConfig    = "Specified configuration %s does not exist"
	textIneligible  = "Found %s running on ineligible hosts, removing them."
	textIgnored     = "Trait %q of component %q is not supported and ignored"
)

// rank orders status types by severity, as clients fold them.
func rank(t tenancy.StatusType) int {
	return slices.Index([]tenancy.StatusType{tenancy.StatusDeployed, tenancy.StatusUnhealthy, tenancy.StatusReconciling,
		tenancy.StatusWaiting, tenancy.StatusUndeployed, tenancy.StatusFailed}, t)
}

// report derives the status of the unit's scalers from the placement and from
// what is in flight.
func (p *placement) report() {
	u := p.u
	u.hungry, u.settled = false, true
	for id := range p.s.unitFlight[u.id] {
		if p.s.obs.Hosts[id] != nil {
			u.settled = false
		}
	}
	for _, pl := range p.list {
		if pl.inst != nil && !pl.blocked && !p.right(pl) {
			u.settled = false
		}
	}
	for _, sc := range u.scalers {
		if sc.fixed == nil {
			p.reportScaler(sc)
		}
		p.s.dirty.apps[sc.app] = true
	}
	if u.wants = nil; u.hungry || u.daemon {
		u.wants = p.wants()
	}
	if u.settled && !u.hungry {
		p.s.forgive(u.id)
	}
}

// wants lists the spreads to which a host without anything of the unit can
// matter. When all that runs is as it should be, those are the ones that lack
// something and those of daemon scalers: a host that fits another one helps only if
// that one could move there from a host that fits one that lacks something.
func (p *placement) wants() []*spread {
	var all, some []*spread
	moves := false
	for _, c := range p.demands {
		all = append(all, c.sp)
		lacks := c.unmet || c.short > 0
		if lacks || c.sc.daemon {
			some = append(some, c.sp)
		}
		moves = moves || slices.ContainsFunc(p.list, func(pl *place) bool {
			return pl.demand == c && !p.right(pl) || lacks && pl.demand != nil && pl.demand != c && c.eligible(pl.host)
		})
	}
	if moves {
		return all
	}
	return some
}

func (p *placement) reportScaler(sc *scaler) {
	noun := "component"
	if p.u.id.Provider {
		noun = "provider"
	}
	var failures, errs []string
	held, moving, unhealthy, outstanding := "", 0, 0, false
	var waiting []string
	for _, c := range p.demands {
		if c.sc != sc {
			continue
		}
		held = c.held
		right := c.foreign
		for _, pl := range c.places {
			if f := p.flying(pl); f != nil {
				moving++
			} else if p.overtaken(pl) && !p.right(pl) {
				waiting = append(waiting, fmt.Sprintf("Waiting for the end of an earlier update on host %s", pl.host))
			}
			if pl.inst != nil {
				if pl.inst.Health == lattice.Unhealthy {
					unhealthy++
				}
				if p.right(pl) {
					right++
				} else {
					outstanding = true
				}
			} else if pl.want > 0 {
				outstanding = true
			}
			if b := p.failed(pl.host.ID, sc); b != nil && !p.right(pl) {
				errs = append(errs, b.reason)
			}
		}
		short := c.short > 0
		if ran := uint64(len(c.places)) + c.foreign; c.taken > 0 {
			failures = append(failures, fmt.Sprintf("Could not satisfy daemonscaler %s for %s, %d/%d eligible hosts found.",
				c.sp.name, sc.image, ran, ran+c.taken+c.short))
		}
		if c.unmet && (c.sp.count > 0 || sc.daemon) {
			text := unmetText(c, sc, right)
			if why := p.soon(c); why != "" {
				waiting = append(waiting, why)
			} else {
				failures = append(failures, text)
			}
			short = true
		}
		if outstanding = outstanding || short; outstanding && moving == 0 && len(waiting) == 0 {
			if why := p.soon(c); why != "" {
				waiting = append(waiting, why)
			}
		}
	}
	// A failure on a host that carries no demand now, because the start did not work.
	for id := range p.s.unitBackoff[p.u.id] {
		if pl := p.places[id]; outstanding && (pl == nil || pl.demand == nil) {
			if b := p.failed(id, sc); b != nil {
				errs = append(errs, b.reason)
			}
		}
	}
	slices.Sort(errs)
	errs = slices.Compact(errs)
	switch {
	case len(errs) > 0:
		sc.reason = ReasonCommandFailed
		sc.status = tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: strings.Join(append(errs, failures...), " ")}
	case len(failures) > 0:
		sc.reason = ReasonTooFewHosts
		sc.status = tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: strings.Join(failures, " ")}
	case outstanding && held != "" && strings.HasPrefix(held, "Specified"):
		sc.reason = ReasonNoSuchConfig
		sc.status = tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: held}
	case outstanding || moving > 0:
		sc.reason = ReasonUnderWay
		sc.status = tenancy.StatusInfo{Type: tenancy.StatusReconciling, Message: fmt.Sprintf("Scaling %s on %d host(s)", noun, moving)}
		if moving == 0 {
			sc.status.Message = cmp.Or(held, strings.Join(waiting, " "))
			if sc.reason = ReasonWaiting; held != "" {
				sc.reason = ReasonConfiguration
			}
		}
	case unhealthy > 0:
		sc.reason = ReasonUnhealthy
		sc.status = tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: fmt.Sprintf("Unhealthy provider on %d host(s)", unhealthy)}
	default:
		sc.reason = ReasonAsWanted
		sc.status = tenancy.StatusInfo{Type: tenancy.StatusDeployed}
		if left := p.leftover(sc); left != "" {
			sc.reason = ReasonUnderWay
			sc.status = tenancy.StatusInfo{Type: tenancy.StatusReconciling, Message: left}
		}
	}
	if outstanding || len(failures) > 0 || len(errs) > 0 {
		p.u.hungry = true
	}
}

// leftover says that instances of a scaler's application are still to go, empty
// when there are none.
func (p *placement) leftover(sc *scaler) string {
	noun := "components"
	if p.u.id.Provider {
		noun = "providers"
	}
	hosts := 0
	for _, pl := range p.list {
		if pl.demand != nil || pl.inst == nil || pl.blocked && pl.fl == nil || pl.inst.App() != sc.app {
			continue
		}
		if !slices.ContainsFunc(p.demands, func(c *demand) bool { return c.sc.app == sc.app && c.eligible(pl.host) }) {
			return fmt.Sprintf(textIneligible, noun)
		}
		hosts++
	}
	if hosts == 0 {
		return ""
	}
	return fmt.Sprintf("Removing %s from %d host(s)", noun, hosts)
}

// failed is the last failure of a scaler's image on one of its hosts. It is told
// until a retry has worked, also while one is under way.
func (p *placement) failed(id lattice.HostID, sc *scaler) *backoff {
	b, h := p.s.unitBackoff[p.u.id][id], p.s.obs.Hosts[id]
	if b == nil || h == nil || b.image != sc.image || !slices.ContainsFunc(sc.spreads, func(sp spread) bool { return h.Has(sp.labels) }) {
		return nil
	}
	return b
}

// right tells whether what runs on a place is what its demand wants there.
func (p *placement) right(pl *place) bool {
	c := pl.demand
	if pl.inst == nil || c == nil {
		return false
	}
	if p.u.id.Provider {
		return pl.want > 0 && !p.outdated(pl)
	}
	return uint64(pl.inst.Max) == pl.want && c.sc.matchesImage(pl.inst.Image) && p.annotatedFor(pl, c)
}

// soon says what an unmet demand waits for, when it is only a matter of time: an
// eligible host where a start has failed, that is silent or being cleared.
func (p *placement) soon(c *demand) string {
	for _, pl := range p.inOrder() {
		if !c.eligible(pl.host) {
			continue
		}
		if pl.inst == nil && pl.fl == nil && p.waiting(pl, c.sc.image) != nil {
			return fmt.Sprintf("Waiting before host %s is asked again", pl.host)
		}
		if pl.host.Silent {
			return fmt.Sprintf("Waiting for host %s, which does not answer", pl.host)
		}
		if pl.fl != nil && pl.demand == nil {
			return fmt.Sprintf("Waiting for host %s to be cleared", pl.host)
		}
	}
	return ""
}

func unmetText(c *demand, sc *scaler, right uint64) string {
	switch {
	case sc.daemon:
		return fmt.Sprintf("Could not satisfy daemonscaler %s for %s, 0 eligible hosts found.", c.sp.name, sc.image)
	case sc.workload.Provider:
		return fmt.Sprintf("Could not satisfy spread %s for %s, %d/%d eligible hosts found.", c.sp.name, sc.image, right, c.sp.count)
	default:
		return fmt.Sprintf("Could not satisfy spread %s for %s, 0/1 eligible hosts found.", c.sp.name, sc.image)
	}
}

// statuses publishes what changed for the applications touched.
func (s *State) statuses(now time.Time) {
	for _, name := range take(&s.dirty.apps) {
		var st tenancy.Status
		if a := s.apps[name]; a != nil {
			st = a.publicStatus()
			s.observeRules(a, &st, now)
			s.know(name)
		} else if s.frozen[name] {
			st = tenancy.Status{Status: tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: textUnreadable}}
			s.observe(name, st.Status.Type, ReasonUnreadable, now)
			s.know(name)
		} else if s.known[name] {
			var gone bool
			st, gone = s.retiring(name)
			if s.observe(name, st.Status.Type, ReasonBeingRemoved, now); gone {
				delete(s.known, name)
				delete(s.conditions, name)
				s.fewer = true
			}
		} else {
			continue
		}
		if have, ok := s.published[name]; ok && sameStatus(have, st) {
			continue
		}
		s.published[name] = st
		if s.apps[name] == nil && !s.known[name] {
			delete(s.published, name)
		}
		s.out.Statuses = append(s.out.Statuses, AppStatus{App: name, Status: st})
	}
}

func (s *State) know(name string) {
	if !s.known[name] {
		s.known[name] = true
		s.dirtyState = true
	}
}

func sameStatus(a, b tenancy.Status) bool {
	return a.Status == b.Status && slices.Equal(a.Scalers, b.Scalers)
}

// publicStatus folds the scalers into the status clients see.
func (a *app) publicStatus() tenancy.Status {
	st := tenancy.Status{Status: tenancy.StatusInfo{Type: tenancy.StatusUndeployed}, Components: []struct{}{}}
	var texts []string
	for i, sc := range a.scalers {
		status := sc.status
		if status.Type == "" {
			status.Type = tenancy.StatusReconciling
		}
		if i == 0 || rank(status.Type) > rank(st.Status.Type) {
			st.Status.Type = status.Type
		}
		if t := strings.TrimSpace(status.Message); t != "" {
			texts = append(texts, t)
		}
		st.Scalers = append(st.Scalers, tenancy.ScalerStatus{ID: sc.id, Kind: sc.kind, Name: sc.name, Status: status})
	}
	st.Status.Message = strings.Join(append(texts, a.notes...), ", ")
	return st
}

// retiring is the status of an application that is no longer deployed: it is
// undeployed only when nothing of it is left.
func (s *State) retiring(name string) (st tenancy.Status, gone bool) {
	st = tenancy.Status{Components: []struct{}{}}
	if s.leftOf(name) {
		st.Status = tenancy.StatusInfo{Type: tenancy.StatusReconciling, Message: textUndeploying}
		return st, false
	}
	st.Status = tenancy.StatusInfo{Type: tenancy.StatusUndeployed, Message: textUndeployed}
	return st, true
}

// leftOf tells whether anything made for an application is still there or may
// still appear.
func (s *State) leftOf(name string) bool {
	for t := range s.appFlight[name] {
		if t.Host == "" || s.obs.Hosts[t.Host] != nil {
			return true
		}
	}
	for id := range s.appGoing[name] {
		if _, there := s.obs.Links[id]; there || !s.obs.LinksKnown {
			return true
		}
	}
	for n, c := range s.configs {
		if fact, known := s.obs.Configs[n]; !c.wanted() && c.owner == name && c.made && (fact.Exists || !known) {
			return true
		}
	}
	return len(s.appUnits[name]) > 0
}

// Republish has the statuses of applications told again with the next decision,
// although they may be as they were: what was told may have been removed since.
func (s *State) Republish(apps []string) {
	for _, name := range apps {
		delete(s.published, name)
		s.dirty.apps[name] = true
	}
}

// RepublishAll is Republish for every application whose status was told.
func (s *State) RepublishAll() { s.Republish(slices.Collect(maps.Keys(s.published))) }
