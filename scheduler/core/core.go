// Package core decides. It holds everything known of one lattice (what is
// observed, what should run, what has been asked for) and turns each input
// into a Decision: the commands that close the gap, the questions whose answers
// are missing, the statuses that changed, and when to look again.
//
// The package is pure: no clock, randomness, I/O, goroutine, logger, context or
// metric. The same inputs at the same times give the same decisions, byte for
// byte. One goroutine owns a State.
//
// # How it decides
//
// Work is cut into targets that are evaluated independently of each other: a
// workload id (all rules that want it, on all hosts), a link, a configuration.
// An input marks the targets it touches as dirty; only those are evaluated. An
// evaluation compares what is wanted with what is observed, counts what has been
// asked for and is not yet confirmed as if it were there, and issues what is
// missing. So nothing is asked twice, and the order of evaluation does not matter.
package core

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// Config is what an operator may choose. The zero value works.
type Config struct {
	// CommandDeadline is how long a command may stay unconfirmed before it counts
	// as failed. Hosts fetch and compile for minutes; shorter values start a retry
	// while the first attempt still runs. Default 2 minutes.
	CommandDeadline time.Duration
	// BackoffMin and BackoffMax bound the wait after a failure; it doubles from
	// one to the other. Defaults 1 second and 5 minutes.
	BackoffMin, BackoffMax time.Duration
	// Resync is how often what hosts hold is listed again although nothing seemed
	// to change. Default 5 minutes.
	Resync time.Duration
	// Prefix starts every command id; it must differ between owners of a lattice.
	Prefix string
	// Folded, when set, is called between bringing an input into the state and
	// deciding on it, so that a tracer can tell the two apart.
	Folded func()
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	c.CommandDeadline = cmp.Or(c.CommandDeadline, 2*time.Minute)
	c.BackoffMin = cmp.Or(c.BackoffMin, time.Second)
	c.BackoffMax = cmp.Or(c.BackoffMax, 5*time.Minute)
	c.Resync = cmp.Or(c.Resync, 5*time.Minute)
	return c
}

// QueryKind is what is asked of the lattice.
type QueryKind int

// The questions of a Decision.
const (
	// AskHosts: which hosts are there? Answer with State.HostsListed.
	AskHosts QueryKind = iota
	// AskInventory: what does the host run? Answer with InventoryRead or InventoryFailed.
	AskInventory
	// AskLinks: which links are there? Answer with LinksListed or LinksFailed.
	AskLinks
	// AskConfig: what does the configuration hold? Answer with ConfigRead or ConfigFailed.
	AskConfig
)

// Query is a question whose answer the decision needs.
type Query struct {
	Kind   QueryKind
	Host   lattice.HostID
	Config string
}

// AppStatus is a status that changed.
type AppStatus struct {
	App    string
	Status tenancy.Status
}

// Decision is the outcome of one input. Commands must be stored before they are
// sent, and State, when not nil, before that.
type Decision struct {
	Commands []lattice.Command
	Queries  []Query
	// Stale: the stored snapshot no longer tells what the hosts run. It should be
	// stored again within seconds, to spare a successor some questions.
	Stale bool
	// Fewer: the stored snapshot calls something ours that is gone, or does not tell of
	// annotations that a host has kept. It should be stored again soon, or a successor
	// looks for what is gone and, should someone else put the same again, takes that
	// for ours.
	Fewer bool
	// Resolved lists commands whose outcome is now known.
	Resolved []string
	Statuses []AppStatus
	// State is the snapshot to store before the commands go; nil when all that is
	// ours is in what was stored. What it says of the hosts may be as old as Stale
	// allows.
	State []byte
	// Dropped says why the input was ignored, nil when it was not.
	Dropped error
	// Unchanged: the input was a heartbeat without news.
	Unchanged bool
	// Wake is when to call Tick next; zero means not before another input. With
	// Unchanged it is set only when it moved earlier.
	Wake time.Time
}

// State is everything known of one lattice.
type State struct {
	cfg Config
	obs *lattice.State

	apps map[string]*app
	// frozen are deployed applications whose record can't be read.
	frozen  map[string]bool
	units   map[lattice.Workload]*unit
	links   map[lattice.LinkID]*linkTarget
	configs map[string]*configTarget
	// linkKeys finds the links, wanted, going or observed, that share a key, sorted.
	linkKeys map[lattice.LinkID][]lattice.LinkID
	// endGoing and appGoing find the links that are to go, by either end and by the
	// application they were made for.
	endGoing map[lattice.WorkloadID]map[lattice.LinkID]bool
	appGoing map[string]map[lattice.LinkID]bool
	// linkChanged is when a link was last put, deleted or seen to be.
	linkChanged map[lattice.LinkID]time.Time
	// known are the applications with a status that is not "undeployed".
	known map[string]bool
	// eager are the units that a change of hosts concerns: hungry ones and daemons.
	eager map[lattice.Workload]bool
	// appUnits finds the units with instances of an application.
	appUnits map[string]map[lattice.Workload]bool
	// published is the last status of each application.
	published map[string]tenancy.Status
	// conditions are those of the applications with a status.
	conditions map[string]conditions

	flights map[target]*flight
	// The same flights by host, by workload and by application.
	hostFlight map[lattice.HostID]map[target]*flight
	unitFlight map[lattice.Workload]map[lattice.HostID]*flight
	appFlight  map[string]map[target]*flight
	// overtaken are image updates that are no longer wanted and may yet happen.
	overtaken map[target][]*flight
	backoffs  map[target]*backoff
	// The same waits by workload.
	unitBackoff map[lattice.Workload]map[lattice.HostID]*backoff
	timers      timers
	// kept notes instances whose annotations the host would not change.
	kept    map[lattice.Workload]map[lattice.HostID]kept
	queries map[Query]*asked
	// queryWake is a lower bound of when a question is asked again.
	queryWake time.Time
	serial    uint64

	dirty dirt
	// recovering: hosts, links and manifests are being gathered; nothing is decided yet.
	// started: Start has been called; what arrives before it is only kept.
	recovering, started bool
	desired             bool
	// roll are the hosts that answered the roll call and not yet more.
	roll map[lattice.HostID]bool
	// hosts has the observed hosts in the order of their ids.
	hosts []*lattice.Host
	// hostWake is a lower bound of when a host must be looked after.
	hostWake time.Time
	nextSync time.Time
	// restWake is when the first unit that waits to be evaluated has rested.
	restWake time.Time
	// looking lists what is looked at again, and when, although no event may tell: a
	// missing configuration that someone else should provide, and what a late
	// command may bring back.
	looking map[Query]time.Time
	// dirtyState: the snapshot must be stored before the next command goes. stale:
	// what it says of the hosts has changed, fewer: something of ours has gone; both
	// can wait.
	// hostless: the snapshot leaves the hosts out.
	dirtyState, stale, fewer, hostless bool
	// hostsText is what the last snapshot said of the hosts; nil when the next one
	// has to say it anew.
	hostsText []byte
	// retired are the configurations of ours that nothing wants any more.
	retired map[string]bool
	out     *Decision
}

// dirt is what must be evaluated.
type dirt struct {
	units   map[lattice.Workload]bool
	links   map[lattice.LinkID]bool
	configs map[string]bool
	apps    map[string]bool
}

// New returns the state of a lattice of which nothing is known. Call Start next.
func New(cfg Config) *State {
	return &State{
		cfg: cfg.WithDefaults(), obs: lattice.NewState(),
		apps: map[string]*app{}, units: map[lattice.Workload]*unit{},
		links: map[lattice.LinkID]*linkTarget{}, configs: map[string]*configTarget{}, linkChanged: map[lattice.LinkID]time.Time{},
		linkKeys: map[lattice.LinkID][]lattice.LinkID{}, endGoing: map[lattice.WorkloadID]map[lattice.LinkID]bool{},
		appGoing: map[string]map[lattice.LinkID]bool{},
		known:    map[string]bool{}, published: map[string]tenancy.Status{}, conditions: map[string]conditions{},
		flights: map[target]*flight{}, hostFlight: map[lattice.HostID]map[target]*flight{},
		unitFlight: map[lattice.Workload]map[lattice.HostID]*flight{}, appFlight: map[string]map[target]*flight{},
		overtaken: map[target][]*flight{},
		backoffs:  map[target]*backoff{}, unitBackoff: map[lattice.Workload]map[lattice.HostID]*backoff{},
		kept:  map[lattice.Workload]map[lattice.HostID]kept{},
		eager: map[lattice.Workload]bool{}, appUnits: map[string]map[lattice.Workload]bool{},
		queries: map[Query]*asked{}, recovering: true, looking: map[Query]time.Time{}, retired: map[string]bool{},
		dirty: dirt{
			units: map[lattice.Workload]bool{}, links: map[lattice.LinkID]bool{},
			configs: map[string]bool{}, apps: map[string]bool{},
		},
	}
}

// Start begins the life of the state: snapshot is what a previous owner stored
// (nil for none) and doubt the commands whose outcome it never learned. Nothing
// is decided until the lattice has been gathered.
func (s *State) Start(snapshot []byte, doubt []lattice.Command, now time.Time) (Decision, error) {
	d := s.begin()
	s.started = true
	s.nextSync = now.Add(s.cfg.Resync)
	if err := s.restore(snapshot, now); err != nil {
		return Decision{}, err
	}
	for _, c := range doubt {
		s.adopt(c, now)
	}
	s.gather(now)
	return s.finish(d, now), nil
}

// Gap says that events may have been missed: everything is listed again.
func (s *State) Gap(now time.Time) Decision {
	d := s.begin()
	s.gather(now)
	return s.finish(d, now)
}

// Event folds one event of the lattice's stream and decides what follows.
func (s *State) Event(data []byte, now time.Time) Decision {
	g, err := lattice.Glance(data)
	glanced := err == nil
	if glanced && len(s.hostFlight[lattice.HostID(g.Source)]) == 0 && s.obs.Unchanged(&g, now) {
		return s.quiet(s.obs.Hosts[lattice.HostID(g.Source)])
	}
	ev, err := lattice.DecodeEvent(data)
	if err != nil {
		return Decision{Dropped: err, Wake: s.wake()}
	}
	d := s.begin()
	ch := s.obs.Fold(ev, now)
	if ch.Stale {
		d.Dropped = errStale
	}
	if ev.Kind == lattice.HostHeartbeat && glanced && !ch.Stale {
		s.obs.Hosts[ev.Host].SetDigest(g.Digest)
	}
	if h := s.obs.Hosts[ev.Host]; h != nil {
		s.spoke(h)
	}
	if ch.Left || ch.Joined && ev.Kind == lattice.HostStarted {
		// What was asked of a process that has ended will not happen.
		s.landAll(ev.Host)
	}
	s.changed(&ch, now)
	s.confirm(ev, &ch, now)
	return s.finish(d, now)
}

// quiet is the decision on a heartbeat without news: nothing, unless the host's
// interval has turned out to be shorter than was thought.
func (s *State) quiet(h *lattice.Host) Decision {
	d := Decision{Unchanged: true}
	if before := s.hostWake; due(h).Before(before) {
		s.spoke(h)
		d.Wake = s.hostWake
	}
	return d
}

// Desired tells which manifests are deployed now, by application; nil for one
// whose record can't be read.
func (s *State) Desired(apps map[string]*manifest.Manifest, now time.Time) (Decision, error) {
	d := s.begin()
	if err := s.setDesired(apps, now); err != nil {
		return Decision{}, err
	}
	s.desired = true
	return s.finish(d, now), nil
}

// Tick does what is due: hosts gone silent, deadlines, retries, resync.
func (s *State) Tick(now time.Time) Decision {
	d := s.begin()
	s.watchHosts(now)
	s.expire(now)
	s.retryQueries(now)
	if !s.recovering && !now.Before(s.nextSync) {
		s.gather(now)
	}
	return s.finish(d, now)
}

// gather asks for everything that events would have told.
func (s *State) gather(now time.Time) {
	s.ask(Query{Kind: AskHosts}, now)
	s.ask(Query{Kind: AskLinks}, now)
	for _, name := range slices.Sorted(maps.Keys(s.configs)) {
		s.ask(Query{Kind: AskConfig, Config: name}, now)
	}
	s.nextSync = now.Add(s.cfg.Resync)
}

// changed marks what a change of the observed state touches.
func (s *State) changed(ch *lattice.Changes, now time.Time) {
	for _, w := range ch.Workloads {
		s.dirty.units[w] = true
		if _, noted := s.kept[w][ch.Host]; noted && s.keptBy(w, ch.Host) == nil {
			drop(s.kept, w, ch.Host)
			s.fewer = true
		}
	}
	if ch.Joined || ch.Left {
		s.listHost(ch.Host)
	}
	if ch.Left {
		s.forgetHost(ch.Host)
	}
	if ch.Joined || ch.Left || ch.Labels || ch.Woke {
		s.hostsChanged(ch, now)
	}
	if ch.Link != nil {
		s.linkChanged[*ch.Link] = now
		s.linkObserved(*ch.Link)
	}
	if ch.Config != "" && s.configs[ch.Config] != nil {
		s.ask(Query{Kind: AskConfig, Config: ch.Config}, now)
	}
	if ch.AskInventory {
		s.ask(Query{Kind: AskInventory, Host: ch.Host}, now)
	}
	if ch.Joined {
		// It is given work at once, and a successor must know it although it is mute.
		s.hostsText = nil
	}
	if ch.Joined || ch.Left || ch.Labels || len(ch.Workloads) > 0 {
		s.stale = !s.hostless
	}
}

// Recovered tells whether the lattice has been gathered and decisions are made.
func (s *State) Recovered() bool { return !s.recovering }

// Vacant reports whether there is nothing to act for and nothing to remember: no
// host, no application, nothing of ours that is left or may come back, and no
// snapshot to be stored.
func (s *State) Vacant() bool {
	return s.desired && !s.recovering && !s.stale && !s.fewer && len(s.hosts)+len(s.apps)+len(s.frozen)+len(s.known)+
		len(s.units)+len(s.links)+len(s.configs)+len(s.retired)+len(s.flights)+len(s.looking) == 0
}
