package simhost

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/nats-io/nats.go"

	"wadm/scheduler/lattice"
)

// queued families are answered by one host of the lattice; the stem of their
// subject is their queue group.
var queued = []string{"link", "claims", "config"}

// request is a control message on its way through a host.
type request struct {
	msg *nats.Msg
	// family and verb are the first two tokens behind the lattice, rest what
	// follows: a host id or a configuration's name.
	family, verb, rest string
	// record is nil for queries.
	record *Record
}

func (r *request) kind() string { return r.family + "." + r.verb }

// subscribe makes the lattice reachable, where no single host is meant.
func (l *Lattice) subscribe() error {
	for _, s := range []string{"component.auction", "provider.auction", "host.ping", "registry.put"} {
		sub, err := l.nc.ChanSubscribe(l.prefix+s, l.inbox)
		if err != nil {
			l.unsubscribe()
			return fmt.Errorf("subscribe to %s: %w", s, err)
		}
		l.subs = append(l.subs, sub)
	}
	for _, s := range queued {
		wild := ".*"
		if s == "config" {
			wild = ".>"
		}
		sub, err := l.nc.ChanQueueSubscribe(l.prefix+s+wild, l.prefix+s, l.inbox)
		if err != nil {
			l.unsubscribe()
			return fmt.Errorf("subscribe to %s: %w", s, err)
		}
		l.subs = append(l.subs, sub)
	}
	return nil
}

func (l *Lattice) unsubscribe() {
	for _, s := range l.subs {
		l.drop(s)
	}
	l.subs = nil
}

// drop ends a subscription. A connection that is closed has none left.
func (l *Lattice) drop(s *nats.Subscription) {
	if n, err := s.Dropped(); err == nil {
		l.log.stats.Lost += n
	}
	if err := s.Unsubscribe(); err != nil {
		l.log.stats.PublishErrors++
	}
}

// hear takes one message in and gives it to whom it concerns.
func (l *Lattice) hear(m *nats.Msg) {
	if l.closed || l.chance(l.cfg.Faults.RequestDrop) {
		return
	}
	rest, ok := strings.CutPrefix(m.Subject, l.prefix)
	if !ok {
		return
	}
	r := request{msg: m}
	r.family, rest, _ = strings.Cut(rest, ".")
	r.verb, r.rest, _ = strings.Cut(rest, ".")
	if kind := r.kind(); queries[kind] {
		l.log.stats.Queries[kind]++
	}

	switch {
	case r.family == "link" || r.family == "claims" || r.family == "config":
		// The wide subscription of a compact lattice hears a configuration named
		// like a host, too.
		if len(l.alive) == 0 || m.Sub.Queue == "" {
			return
		}
		l.alive[l.rand.IntN(len(l.alive))].receive(r)
	case r.rest == "":
		for _, h := range shuffled(l.rand, l.alive) {
			h.receive(r)
		}
	default:
		switch r.family {
		case "component", "provider", "host", "label":
		default:
			return // heard only by the one wide subscription of a compact lattice
		}
		if h := l.hosts[lattice.HostID(r.rest)]; h != nil {
			h.receive(r)
		}
	}
}

func shuffled(r *rand.Rand, hosts []*Host) []*Host {
	out := make([]*Host, len(hosts))
	for i, j := range r.Perm(len(hosts)) {
		out[i] = hosts[j]
	}
	return out
}

// receive notes a request at its arrival; a busy host looks at it later.
func (h *Host) receive(r request) {
	if queries[r.kind()] {
		h.look(r)
		return
	}
	h.lattice.note(h, &r)
	fate := Delivered
	if f := h.lattice.cfg.Fate; f != nil {
		fate = f(*r.record)
	}
	switch fate {
	case Lost:
		return
	case Unanswered:
		m := *r.msg
		m.Reply = ""
		r.msg = &m
	case Doubled:
		h.look(r)
		r.record = nil // the second is not the sender's doing
	}
	h.look(r)
}

// look handles a request once the host has ears.
func (h *Host) look(r request) {
	if h.mutes > 0 || h.stalls > 0 {
		h.held = append(h.held, r)
		return
	}
	h.handle(r)
}

func (h *Host) handle(r request) {
	switch r.kind() {
	case "component.auction":
		h.auctionComponent(r)
	case "component.scale":
		h.scaleComponent(r)
	case "component.update":
		h.updateComponent(r)
	case "provider.auction":
		h.auctionProvider(r)
	case "provider.start":
		h.startProvider(r)
	case "provider.stop":
		h.stopProvider(r)
	case "host.ping":
		h.ping(r)
	case "host.get":
		h.readTables(func() { h.answer(r, h.appendInventory(nil)) })
	case "host.stop":
		h.stop(r)
	case "label.put":
		h.putLabel(r)
	case "label.del":
		h.deleteLabel(r)
	case "registry.put":
		h.putRegistries(r)
	case "link.put":
		h.putLink(r)
	case "link.del":
		h.deleteLink(r)
	case "link.get":
		h.answer(r, h.lattice.store.appendLinks(nil))
	case "claims.get":
		h.answer(r, h.lattice.store.appendClaims(nil))
	case "config.put", "config.get", "config.del":
		if r.rest == "" || strings.Contains(r.rest, ".") {
			h.unsupported(r)
			return
		}
		switch r.verb {
		case "put":
			h.putConfig(r)
		case "get":
			h.getConfig(r)
		default:
			h.deleteConfig(r)
		}
	default:
		h.unsupported(r)
	}
}

func (h *Host) unsupported(r request) {
	h.lattice.violate(h, r.record, RuleUnsupported, r.msg.Subject)
	h.refuse(r, "unsupported subject")
}

// malformed refuses a body that does not parse.
func (h *Host) malformed(r request, text string, err error) {
	h.lattice.violate(h, r.record, RuleMalformed, err.Error())
	h.refuse(r, text)
}

func (h *Host) accept(r request, message string) { h.reply(r, true, message, nil) }
func (h *Host) refuse(r request, message string) { h.reply(r, false, message, nil) }

// answer is the successful reply to a query.
func (h *Host) answer(r request, response []byte) { h.reply(r, true, "", response) }

func (h *Host) reply(r request, success bool, message string, response []byte) {
	l := h.lattice
	l.answeredRecord(r.record, success, message)
	if !success {
		l.log.stats.Refused[message]++
	}
	if r.msg.Reply == "" {
		return
	}
	word := "false"
	if success {
		word = "true"
	}
	o := newObject(nil).raw("success", word).str("message", message)
	if response != nil {
		o = o.raw("response", string(response))
	}
	m := &nats.Msg{Subject: r.msg.Reply, Data: o.end()}
	if tp := childTrace(r.msg.Header.Get(headerTrace), l.rand); tp != "" {
		m.Header = nats.Header{}
		m.Header.Set(headerTrace, tp)
	}
	f := l.cfg.Faults
	if l.chance(f.ReplyDrop) {
		return
	}
	send := func() {
		h.send(m)
		if l.chance(f.ReplyDuplicate) {
			h.send(m)
		}
	}
	if l.chance(f.ReplyDelay) {
		l.after(l.upTo(f.ReplyDelayMax), send)
		return
	}
	send()
}

// emit publishes an event. data may be the lattice's scratch buffer.
func (h *Host) emit(kind lattice.EventKind, data []byte) {
	l := h.lattice
	l.log.stats.Events[kind]++
	l.buf = data
	f := l.cfg.Faults
	var body []byte
	if h.stalls == 0 && f.EventDelay == 0 {
		// Sent before anybody else needs the buffer.
		l.out = h.appendEnvelope(l.out[:0], kind, data)
		body = l.out
	} else {
		body = h.appendEnvelope(nil, kind, data)
	}
	m := &nats.Msg{Subject: l.events + string(kind), Data: body}
	if l.chance(f.EventDrop) {
		return
	}
	copies := 1
	if l.chance(f.EventDuplicate) {
		copies = 2
	}
	for range copies {
		if l.chance(f.EventDelay) {
			l.after(l.upTo(f.EventDelayMax), func() { h.send(m) })
			continue
		}
		h.send(m)
	}
}

// scratch is an empty buffer that is valid until the next one is asked for.
func (l *Lattice) scratch() []byte { return l.buf[:0] }

func (h *Host) send(m *nats.Msg) {
	if h.stalls > 0 {
		h.outbox = append(h.outbox, m)
		return
	}
	if err := h.lattice.nc.PublishMsg(m); err != nil {
		h.lattice.log.stats.PublishErrors++
	}
}

func (h *Host) flushOutbox() {
	for _, m := range h.outbox {
		h.send(m)
	}
	h.outbox = nil
}

// childTrace is a new span of the trace that came with a request, or nothing
// when none came.
func childTrace(parent string, r *rand.Rand) string {
	if !validTrace(parent) {
		return ""
	}
	return fmt.Sprintf("%s%016x%s", parent[:36], r.Uint64()|1, parent[52:])
}

// validTrace accepts version-traceid-spanid-flags in lower-case hex, not zero.
func validTrace(s string) bool {
	if len(s) != 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 2 || i == 35 || i == 52:
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
		default:
			return false
		}
	}
	return strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != ""
}
