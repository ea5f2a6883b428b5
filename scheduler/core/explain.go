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

// Explanation says why an application is as it is.
type Explanation struct {
	App string `json:"app"`
	// Deployed is false for one that is not known, or that is being removed.
	Deployed bool `json:"deployed"`
	// Gathered is false while a new owner still collects what the lattice holds;
	// nothing is decided until then.
	Gathered bool `json:"gathered"`
	// Version is the version of the manifest that the rest is about.
	Version string             `json:"version,omitempty"`
	Status  tenancy.StatusInfo `json:"status"`
	// Condition is the status as a code, and since when it is that. A new owner
	// counts from its take-over, and has none before it has gathered.
	Condition *Condition          `json:"condition,omitempty"`
	Scalers   []ScalerExplanation `json:"scalers,omitempty"`
	// Notes tell what of the manifest has no effect.
	Notes []string `json:"notes,omitempty"`
	// Left lists what has to go before the application counts as undeployed.
	Left []string `json:"left,omitempty"`
}

// ScalerExplanation explains one rule, in the order of the public status.
type ScalerExplanation struct {
	ID     string             `json:"id"`
	Kind   string             `json:"kind"`
	Name   string             `json:"name"`
	Status tenancy.StatusInfo `json:"status"`
	// Condition is the status as a code, and since when it is that.
	Condition *Condition `json:"condition,omitempty"`
	Image     string     `json:"image,omitempty"`
	// Waiting names what has to be there first, such as a configuration.
	Waiting string `json:"waiting,omitempty"`
	// Wanted and Have count instances, or hosts of a provider, on all hosts together.
	Wanted   uint64               `json:"wanted"`
	Have     uint64               `json:"have"`
	Spreads  []SpreadExplanation  `json:"spreads,omitempty"`
	InFlight []CommandExplanation `json:"in_flight,omitempty"`
	// NextRetry is when something that failed is tried again.
	NextRetry *time.Time `json:"next_retry,omitempty"`
}

// SpreadExplanation explains one spread.
type SpreadExplanation struct {
	Name         string            `json:"name"`
	Requirements map[string]string `json:"requirements,omitempty"`
	Wanted       uint64            `json:"wanted"`
	Have         uint64            `json:"have"`
	// Eligible hosts carry the required labels.
	Eligible int `json:"eligible"`
	// Hosts lists the hosts that are used, or are going to be, by id.
	Hosts []Placement `json:"hosts,omitempty"`
	// MoreHosts is the number of used hosts that are not listed.
	MoreHosts int `json:"more_hosts,omitempty"`
	// Excluded lists hosts that are not used, those that come closest first.
	Excluded []Exclusion `json:"excluded,omitempty"`
	// More is the number of excluded hosts that are not listed.
	More int `json:"more,omitempty"`
	// Hint is the smallest change that would help.
	Hint string `json:"hint,omitempty"`
}

// Placement says what a spread has on a host, and why there.
type Placement struct {
	Host lattice.HostID `json:"host"`
	// Name is what people call the host.
	Name string `json:"name,omitempty"`
	// Wanted and Have count instances.
	Wanted uint64         `json:"wanted"`
	Have   uint64         `json:"have"`
	State  PlacementState `json:"state"`
	Why    PlacementCode  `json:"why"`
	// Image is what runs, which an update may be about to replace.
	Image string `json:"image,omitempty"`
}

// PlacementState is how far a host is with what is wanted on it.
type PlacementState string

// How far a host is; the values are stable.
const (
	PlaceRunning  PlacementState = "running"
	PlaceMissing  PlacementState = "missing"
	PlaceDiffers  PlacementState = "differs"
	PlaceStarting PlacementState = "starting"
	PlaceChanging PlacementState = "changing"
	PlaceUpdating PlacementState = "updating"
	PlaceStopping PlacementState = "stopping"
	PlaceSilent   PlacementState = "silent"
)

// PlacementCode is why a spread uses a host.
type PlacementCode string

// Why a host is used; the values are stable.
const (
	// PlacedKept: it was started there for this spread, and the host still fits.
	PlacedKept PlacementCode = "kept"
	// PlacedAdopted: it ran there for another spread or an earlier version.
	PlacedAdopted PlacementCode = "adopted"
	// PlacedLeastLoaded: of the free hosts with these labels it is the one with the
	// least to do, or the only one.
	PlacedLeastLoaded PlacementCode = "least-loaded"
	// PlacedEverywhere: the rule wants every host with these labels.
	PlacedEverywhere PlacementCode = "everywhere"
)

// Exclusion says why a spread does not use a host.
type Exclusion struct {
	Host   lattice.HostID `json:"host"`
	Name   string         `json:"name,omitempty"`
	Reason ExclusionCode  `json:"reason"`
	Detail string         `json:"detail,omitempty"`
}

// ExclusionCode is a reason; the values are stable.
type ExclusionCode string

// Why a host is not used. An unused one could be: it is not needed, or others
// were chosen.
const (
	ExcludedBackoff       ExclusionCode = "backoff"
	ExcludedStopping      ExclusionCode = "stopping"
	ExcludedSilent        ExclusionCode = "silent"
	ExcludedOccupied      ExclusionCode = "occupied"
	ExcludedForeign       ExclusionCode = "foreign"
	ExcludedUnused        ExclusionCode = "unused"
	ExcludedLabelMismatch ExclusionCode = "label-mismatch"
)

// exclusionOrder lists the reasons from what is nearest to being resolved.
var exclusionOrder = []ExclusionCode{ExcludedStopping, ExcludedBackoff, ExcludedSilent, ExcludedOccupied, ExcludedForeign, ExcludedUnused, ExcludedLabelMismatch}

// CommandExplanation is a command whose outcome is not known yet.
type CommandExplanation struct {
	ID     string              `json:"id"`
	Kind   lattice.CommandKind `json:"kind"`
	Host   lattice.HostID      `json:"host,omitempty"`
	Name   string              `json:"name,omitempty"`
	Reason string              `json:"reason"`
	// Age is how long ago it was decided, in seconds.
	Age      float64   `json:"age_seconds"`
	Deadline time.Time `json:"deadline"`
}

// maxExcluded bounds the hosts an explanation lists for a spread, those that are
// used and those that are not.
const maxExcluded = 20

// Explain tells why an application is as it is. It changes nothing.
func (s *State) Explain(name string, now time.Time) Explanation {
	e := Explanation{App: name, Gathered: !s.recovering, Status: tenancy.StatusInfo{Type: tenancy.StatusUndeployed}}
	if st, ok := s.published[name]; ok {
		e.Status = st.Status
	}
	known := s.conditions[name]
	e.Condition = known.app.told()
	a := s.apps[name]
	if a == nil {
		e.Deployed = s.frozen[name]
		e.Left = s.left(name)
		return e
	}
	e.Deployed, e.Notes = true, a.notes
	e.Version, _ = a.manifest.Version()
	public := a.publicStatus()
	if _, ok := s.published[name]; !ok {
		e.Status = public.Status
	}
	for i, sc := range a.scalers {
		x := ScalerExplanation{ID: sc.id, Kind: sc.kind, Name: sc.name, Status: public.Scalers[i].Status, Condition: known.rules[sc.id].told(), Image: sc.image, Waiting: s.unready(sc.app, sc.configNames())}
		switch {
		case sc.fixed != nil:
		case sc.link != nil:
			t := target{Link: sc.link.ID()}
			x.Wanted = 1
			if have, there := s.obs.Links[t.Link]; there && s.links[t.Link] != nil && have.Equal(*s.links[t.Link].want) {
				x.Have = 1
			}
			s.explainFlight(&x, t, s.flights[t], s.backoffs[t], now)
		default:
			s.explainUnit(&x, sc, now)
		}
		e.Scalers = append(e.Scalers, x)
	}
	return e
}

func (s *State) explainFlight(x *ScalerExplanation, t target, f *flight, b *backoff, now time.Time) {
	if f != nil {
		x.InFlight = append(x.InFlight, CommandExplanation{ID: f.cmd.ID, Kind: f.cmd.Kind, Host: t.Host, Name: s.hostName(t.Host), Reason: f.cmd.Reason,
			Age: now.Sub(f.cmd.SentAt).Seconds(), Deadline: f.deadline})
	}
	if b != nil && now.Before(b.next) && (x.NextRetry == nil || b.next.Before(*x.NextRetry)) {
		next := b.next
		x.NextRetry = &next
	}
}

// explainUnit looks at a workload as its evaluation does, and decides nothing.
func (s *State) explainUnit(x *ScalerExplanation, sc *scaler, now time.Time) {
	u := s.units[sc.workload]
	if u == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.unitFlight[u.id])) {
		if f := s.unitFlight[u.id][id]; f.cmd.App == sc.app {
			s.explainFlight(x, target{Host: id, Workload: u.id}, f, nil, now)
		}
	}
	for _, b := range s.unitBackoff[u.id] {
		if b.image == sc.image {
			s.explainFlight(x, target{}, nil, b, now)
		}
	}
	p := newPlacement(s, u, now)
	p.gather()
	p.widen()
	kept := map[lattice.HostID]bool{}
	for _, pl := range p.list {
		kept[pl.host.ID] = pl.demand != nil && pl.inst != nil
	}
	p.spread()
	for _, c := range p.demands {
		if c.sc != sc {
			continue
		}
		// Providers that someone else runs count.
		y := SpreadExplanation{Name: c.sp.name, Requirements: c.sp.labels, Wanted: c.sp.count, Have: c.foreign}
		for _, pl := range c.places {
			if pl.inst != nil {
				y.Have += uint64(pl.inst.Max)
			}
		}
		p.explainPlaces(&y, c, kept)
		p.explainHosts(&y, c)
		x.Wanted += y.Wanted
		x.Have += y.Have
		x.Spreads = append(x.Spreads, y)
	}
}

// explainPlaces says which hosts a demand uses; kept are those that were used for
// the same demand before.
func (p *placement) explainPlaces(y *SpreadExplanation, c *demand, kept map[lattice.HostID]bool) {
	places := slices.Clone(c.places)
	slices.SortFunc(places, func(a, b *place) int { return cmp.Compare(a.host.ID, b.host.ID) })
	if len(places) > maxExcluded {
		y.MoreHosts = len(places) - maxExcluded
		places = places[:maxExcluded]
	}
	for _, pl := range places {
		x := Placement{Host: pl.host.ID, Name: pl.host.Name(), Wanted: pl.want, State: p.stateOf(pl), Why: PlacedLeastLoaded}
		if pl.inst != nil {
			x.Have, x.Image = uint64(pl.inst.Max), pl.inst.Image
		}
		switch {
		case c.sc.daemon:
			x.Why = PlacedEverywhere
		case kept[pl.host.ID]:
			x.Why = PlacedKept
		case pl.inst != nil:
			x.Why = PlacedAdopted
		}
		y.Hosts = append(y.Hosts, x)
	}
}

// stateOf is how far a host is with what is wanted on it.
func (p *placement) stateOf(pl *place) PlacementState {
	switch f := pl.fl; {
	case f != nil && f.cmd.Kind == lattice.UpdateComponent:
		return PlaceUpdating
	case f != nil && pl.cur == 0:
		return PlaceStopping
	case f != nil && pl.inst == nil:
		return PlaceStarting
	case f != nil:
		return PlaceChanging
	case pl.host.Silent:
		return PlaceSilent
	case pl.inst == nil:
		return PlaceMissing
	case p.right(pl):
		return PlaceRunning
	}
	return PlaceDiffers
}

// explainHosts says which hosts a demand does not use, and why.
func (p *placement) explainHosts(y *SpreadExplanation, c *demand) {
	var closest *Exclusion
	fewest := 0
	var mine uint64 // of the eligible hosts, those that no other spread of the application has
	for _, h := range p.s.hosts {
		missing := h.Lacks(c.sp.labels)
		if len(missing) == 0 {
			y.Eligible++
			pl := p.places[h.ID]
			if pl.demand == nil || pl.demand == c || pl.demand.sc.app != c.sc.app {
				mine++
			}
			if pl.demand != c {
				code, detail := p.excluded(pl, c)
				y.Excluded = append(y.Excluded, Exclusion{h.ID, h.Name(), code, detail})
			} else if h.Silent && pl.inst == nil {
				y.Excluded = append(y.Excluded, Exclusion{h.ID, h.Name(), ExcludedSilent, ""})
			}
			continue
		}
		x := Exclusion{h.ID, h.Name(), ExcludedLabelMismatch, strings.Join(missing, ", ")}
		y.Excluded = append(y.Excluded, x)
		if closest == nil || len(missing) < fewest {
			closest, fewest = &x, len(missing)
		}
	}
	slices.SortStableFunc(y.Excluded, func(a, b Exclusion) int {
		return cmp.Compare(slices.Index(exclusionOrder, a.Reason), slices.Index(exclusionOrder, b.Reason))
	})
	// Without a host a daemon scaler wants nothing, and yet it is not served.
	unserved := c.sc.daemon && y.Eligible == 0 && y.Wanted > 0
	if c.sc.daemon {
		each := y.Wanted
		if p.u.id.Provider {
			each = min(each, 1)
		}
		y.Wanted = each * mine
	}
	if y.Have < y.Wanted || unserved {
		y.Hint = c.hint(y, closest)
	}
	if len(y.Excluded) > maxExcluded {
		y.More = len(y.Excluded) - maxExcluded
		y.Excluded = y.Excluded[:maxExcluded]
	}
}

// excluded is the reason for which a demand does not use a host with its labels.
func (p *placement) excluded(pl *place, c *demand) (ExclusionCode, string) {
	b := p.waiting(pl, c.sc.image)
	switch {
	case pl.inst != nil && !pl.inst.Managed():
		return ExcludedForeign, "runs " + pl.inst.Image + " of someone else"
	case pl.fl != nil && pl.cur == 0:
		return ExcludedStopping, ""
	case pl.demand != nil:
		return ExcludedOccupied, fmt.Sprintf("by spread %s of application %s", pl.demand.sp.name, pl.demand.sc.app)
	case pl.inst != nil:
		return ExcludedOccupied, "by application " + pl.inst.App()
	case pl.host.Silent:
		return ExcludedSilent, ""
	case b != nil:
		return ExcludedBackoff, b.reason
	}
	return ExcludedUnused, ""
}

// hint is the smallest change that would help a spread that lacks something.
func (c *demand) hint(y *SpreadExplanation, closest *Exclusion) string {
	if c.held != "" {
		return ""
	}
	for _, x := range y.Excluded {
		switch x.Reason {
		case ExcludedStopping, ExcludedSilent, ExcludedBackoff, ExcludedUnused:
			return "" // a matter of time
		case ExcludedForeign:
			return fmt.Sprintf("remove what someone else runs under the same id on host %s, or add a host", x.Host.Called(x.Name))
		case ExcludedOccupied:
			return "add a host with the same labels: one host carries one spread"
		}
	}
	switch {
	case y.Eligible > 0:
		return ""
	case closest != nil:
		return fmt.Sprintf("label host %s with %s", closest.Host.Called(closest.Name), closest.Detail)
	}
	return "start a host"
}

// hostName is what people call a host; empty if that is not known.
func (s *State) hostName(id lattice.HostID) string {
	if h := s.obs.Hosts[id]; h != nil {
		return h.Name()
	}
	return ""
}

// called writes the id of a host for people.
func (s *State) called(id lattice.HostID) string { return id.Called(s.hostName(id)) }

// left names what is still there of an application that is being removed.
func (s *State) left(name string) []string {
	var out []string
	for _, t := range slices.SortedFunc(maps.Keys(s.appFlight[name]), compareTargets) {
		f := s.appFlight[name][t]
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s under way", f.cmd.Kind, cmp.Or(s.called(t.Host), t.Config, string(t.Link.Source)))))
	}
	for _, u := range slices.SortedFunc(maps.Keys(s.appUnits[name]), lattice.Workload.Compare) {
		for _, id := range slices.Sorted(maps.Keys(s.obs.Holders(u))) {
			if s.obs.Holders(u)[id].App() == name {
				out = append(out, fmt.Sprintf("%s on host %s", u.ID, s.called(id)))
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.appGoing[name]), compareLinks) {
		if _, there := s.obs.Links[id]; there {
			out = append(out, fmt.Sprintf("link from %s to %s", id.Source, id.Target))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(s.configs)) {
		if c := s.configs[n]; !c.wanted() && c.made && c.owner == name && s.obs.Configs[n].Exists {
			out = append(out, "configuration "+n)
		}
	}
	return out
}
