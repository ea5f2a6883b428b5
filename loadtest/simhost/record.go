package simhost

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/scheduler/lattice"
)

// Headers a scheduler sends with its commands.
const (
	headerEpoch    = "Wadm-Epoch"
	headerInstance = "Wadm-Instance"
	headerTrace    = "traceparent"
)

// queries change nothing; they are counted, not recorded.
var queries = map[string]bool{
	"component.auction": true, "provider.auction": true, "host.ping": true, "host.get": true,
	"link.get": true, "claims.get": true, "config.get": true,
}

// Record is one command that wanted to change something.
type Record struct {
	// Time of arrival at the host, which may look at it later.
	Time time.Time
	// Host that got it; for links and configurations the one picked.
	Host lattice.HostID
	// Kind is family and verb of the subject: "component.scale", "link.put".
	Kind    string
	Subject string
	Body    []byte
	Header  nats.Header
	// Epoch of the claim it was sent under; zero without (a readable) one.
	Epoch uint64
	// Instance that sent it.
	Instance string
	// Trace is the traceparent, or empty.
	Trace string
	// Answered is true once the host decided; Accepted and Message are its
	// reply, whether or not that arrived.
	Answered bool
	Accepted bool
	Message  string
	// Needless: what it asks for was so already, or is being done.
	Needless bool
}

// Fate is what becomes of a command on its way to a host.
type Fate int

// The fates.
const (
	// Delivered as it should.
	Delivered Fate = iota
	// Lost before the host sees it. It is recorded and never answered.
	Lost
	// Unanswered: the host does it, its reply is lost.
	Unanswered
	// Doubled: the host gets it twice.
	Doubled
)

// Rule is what a violation offends.
type Rule string

// The rules. Real hosts refuse the first two; the others hurt.
const (
	// RuleMalformed: the body does not parse.
	RuleMalformed Rule = "malformed body"
	// RuleUnsupported: the subject means nothing.
	RuleUnsupported Rule = "unsupported subject"
	// RuleWrongHost: the body names another host than the subject.
	RuleWrongHost Rule = "wrong host in body"
	// RuleNoCount: a scale without count, which stops the component.
	RuleNoCount Rule = "scale without count"
	// RuleOtherImage: a scale of a running component to another image. Either
	// nothing comes of it, or the host from then on reports an image it does not
	// run, allow_update or not.
	RuleOtherImage Rule = "scale to another image"
	// RuleForeign: work, a link or a configuration of others was touched.
	RuleForeign Rule = "foreign work touched"
	// RuleStaleEpoch: a command of an older epoch came after one of a newer.
	RuleStaleEpoch Rule = "stale epoch"
	// RuleTwoInstances: two instances sent commands in one epoch.
	RuleTwoInstances Rule = "two instances in one epoch"
	// RuleNoEpoch: a command without an epoch, where one is required.
	RuleNoEpoch Rule = "no epoch"
)

// Violation is a command no scheduler may send.
type Violation struct {
	Time   time.Time
	Rule   Rule
	Host   lattice.HostID
	Detail string
	// Command that did it.
	Command Record
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s at %s: %s", v.Rule, v.Command.Kind, v.Host, v.Detail)
}

// Stats counts since the lattice began.
type Stats struct {
	Commands map[string]int // by kind
	Queries  map[string]int // by kind, gathers once
	Needless map[string]int // commands by kind
	Refused  map[string]int // by message
	Events   map[lattice.EventKind]int
	// Lost counts requests that found the inbox full.
	Lost int
	// PublishErrors counts messages the connection did not take.
	PublishErrors int
}

// recorder is guarded by the lattice's lock.
type recorder struct {
	records    []*Record
	violations []Violation
	stats      Stats
	epoch      uint64
	instance   string // of epoch
}

func newRecorder() recorder {
	return recorder{stats: Stats{
		Commands: map[string]int{}, Queries: map[string]int{}, Needless: map[string]int{}, Refused: map[string]int{}, Events: map[lattice.EventKind]int{},
	}}
}

// note records a command at its arrival.
func (l *Lattice) note(h *Host, r *request) {
	kind, m := r.kind(), r.msg
	l.log.stats.Commands[kind]++
	rec := &Record{
		Time: time.Now(), Host: h.id, Kind: kind, Subject: m.Subject, Body: m.Data, Header: m.Header,
		Instance: m.Header.Get(headerInstance), Trace: m.Header.Get(headerTrace),
	}
	if e, err := strconv.ParseUint(m.Header.Get(headerEpoch), 10, 64); err == nil {
		rec.Epoch = e
	}
	r.record = rec
	if n := l.cfg.Records; n >= 0 {
		if n > 0 && len(l.log.records) >= n {
			l.log.records = l.log.records[len(l.log.records)-n+1:]
		}
		l.log.records = append(l.log.records, rec)
	}
	l.checkEpoch(h, rec)
}

// checkEpoch holds a command against the newest epoch seen.
func (l *Lattice) checkEpoch(h *Host, rec *Record) {
	switch {
	case rec.Epoch == 0:
		if l.cfg.RequireEpoch {
			l.violate(h, rec, RuleNoEpoch, fmt.Sprintf("header %s is %q", headerEpoch, rec.Header.Get(headerEpoch)))
		}
	case rec.Epoch > l.log.epoch:
		l.log.epoch, l.log.instance = rec.Epoch, rec.Instance
	case rec.Epoch < l.log.epoch:
		l.violate(h, rec, RuleStaleEpoch, fmt.Sprintf("epoch %d of %q after %d of %q", rec.Epoch, rec.Instance, l.log.epoch, l.log.instance))
	case rec.Instance != l.log.instance:
		l.violate(h, rec, RuleTwoInstances, fmt.Sprintf("epoch %d of %q and %q", rec.Epoch, l.log.instance, rec.Instance))
	}
}

// violate notes a violation. Work by hand has no record and violates nothing.
func (l *Lattice) violate(h *Host, rec *Record, rule Rule, detail string) {
	if rec == nil {
		return
	}
	l.log.violations = append(l.log.violations, Violation{Time: time.Now(), Rule: rule, Host: h.id, Detail: detail, Command: *rec})
}

func (l *Lattice) needless(rec *Record) {
	if rec != nil && !rec.Needless {
		rec.Needless = true
		l.log.stats.Needless[rec.Kind]++
	}
}

func (l *Lattice) answeredRecord(rec *Record, accepted bool, message string) {
	if rec == nil {
		return
	}
	rec.Answered, rec.Accepted, rec.Message = true, accepted, message
	l.answered = append(l.answered, rec)
}

// Commands lists what was asked so far, in order of arrival.
func (l *Lattice) Commands() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Record, len(l.log.records))
	for i, r := range l.log.records {
		out[i] = *r
	}
	return out
}

// Violations lists what should not have happened, in order.
func (l *Lattice) Violations() []Violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.log.violations)
}

// Stats returns the counters.
func (l *Lattice) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.log.stats
	s.Commands, s.Queries, s.Needless = maps.Clone(s.Commands), maps.Clone(s.Queries), maps.Clone(s.Needless)
	s.Refused, s.Events = maps.Clone(s.Refused), maps.Clone(s.Events)
	for _, sub := range l.subs {
		if n, err := sub.Dropped(); err == nil {
			s.Lost += n
		}
	}
	for _, h := range l.alive {
		for _, sub := range h.subs {
			if n, err := sub.Dropped(); err == nil {
				s.Lost += n
			}
		}
	}
	return s
}
