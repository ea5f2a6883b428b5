package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// carryOut does what a decision asks for, in the order that makes a crash at any
// point harmless: what is ours is stored before the commands, the commands
// before they are sent.
func (w *worker) carryOut(ctx context.Context, d core.Decision, c cause) error {
	if d.State != nil {
		if err := w.save(ctx, d.State); err != nil {
			return err
		}
	}
	if d.Stale {
		w.saveBy(time.Now().Add(w.s.cfg.SnapshotDelay))
	}
	if d.Fewer {
		w.saveBy(w.savedAt.Add(savePause))
	}
	if len(d.Resolved) > 0 {
		w.confirmed(d.Resolved)
		if err := w.s.deps.Ledger.Resolve(ctx, w.claim, d.Resolved); errors.Is(err, ErrFenced) {
			return fmt.Errorf("resolve commands: %w", err)
		} else if err != nil {
			w.log.Warn("outcome of commands not noted", "error", err)
		}
	}
	if len(d.Commands) > 0 {
		if err := w.command(ctx, d.Commands, c); err != nil {
			return err
		}
	}
	for _, q := range d.Queries {
		w.query(ctx, q)
	}
	for _, st := range d.Statuses {
		w.publish(ctx, st)
	}
	if !w.recovered && w.state.Recovered() {
		w.recovered = true
		w.claim.recovered()
	}
	w.wake(d.Wake)
	return nil
}

// command appends commands to the ledger and sends them.
func (w *worker) command(ctx context.Context, cmds []lattice.Command, c cause) error {
	t := w.s.startDecision(ctx, w.claim, c, cmds)
	defer t.end()
	// Before they are stored: an append that is cut off may have stored them too.
	w.unsent.add(cmds)
	began := time.Since(w.begun)
	err := w.s.deps.Ledger.Append(t.ctx, w.claim, cmds)
	if errors.Is(err, ErrTooLarge) {
		t.failed(err)
		return w.commandEach(ctx, cmds, c, err)
	}
	if err != nil {
		t.failed(err)
		return fmt.Errorf("append commands: %w", err)
	}
	t.appended()
	w.proven.Store(int64(began))
	w.s.Stats.Commands.Add(uint64(len(cmds)))
	for _, cmd := range cmds {
		w.log.Info("command", "command", cmd.ID, "kind", cmd.Kind, "target", cmd.Target(), "count", cmd.Count,
			"application", cmd.App, "reason", cmd.Reason, "cause", cmd.Cause, "trace_id", traceID(cmd.TraceParent))
		w.sent[cmd.ID] = sentCommand{kind: cmd.Kind, at: time.Now(), parent: cmd.TraceParent, app: cmd.App}
		w.task(ctx, &w.sending, func(ctx context.Context) { w.send(ctx, cmd) })
	}
	return nil
}

// commandEach appends commands one by one, because together, or one of them, they
// don't fit into the ledger. What does not fit alone fails like something that a
// host refuses: one application's fault must not end the ownership of its lattice.
func (w *worker) commandEach(ctx context.Context, cmds []lattice.Command, c cause, err error) error {
	if len(cmds) > 1 {
		for _, cmd := range cmds {
			if err := w.command(ctx, []lattice.Command{cmd}, c); err != nil {
				return err
			}
		}
		return nil
	}
	cmd := cmds[0]
	w.log.Error("command is too large to be stored", "command", cmd.ID, "kind", cmd.Kind, "target", cmd.Target(), "application", cmd.App, "error", err)
	w.task(ctx, &w.sending, func(ctx context.Context) {
		w.reply(ctx, cmd, lattice.Reply{Outcome: lattice.Refused, Message: fmt.Sprintf("%s of %s is too large to be stored", cmd.Kind, cmd.Target())})
	})
	return nil
}

const (
	// fresh is how long ago the write may have begun that showed the claim to be the
	// newest when a command leaves: half of what a successor that took over from an
	// owner it could not hear leaves that one's last commands. The way to the host has
	// the rest.
	fresh = 250 * time.Millisecond
	// confirmTimeout is how long the ledger may take to give its word again. A slow
	// one leaves the way to the host less, or nothing; were what it says too old as
	// well, no command would ever leave. By then the owner does not trust itself either.
	confirmTimeout = time.Second
)

// mayAct is nil, or why no command may leave now. A claim's health does not tell
// that there is a newer claim, only that there would be word of it; the ledger
// refuses a write from that moment on. So a command that could not leave right
// after its append began, because the answer came late, or it waited behind silent
// hosts, or is asked for again, has the claim confirmed first.
func (w *worker) mayAct(ctx context.Context) error {
	if err := w.claim.MayAct(); err != nil {
		return err
	}
	if time.Since(w.begun)-time.Duration(w.proven.Load()) < fresh {
		return nil
	}
	_, err, _ := w.confirm.Do("", func() (any, error) {
		limited, cancel := context.WithTimeout(ctx, confirmTimeout)
		defer cancel()
		began := time.Since(w.begun)
		if err := w.s.deps.Ledger.ProveClaim(limited, w.claim); err != nil {
			return nil, err
		}
		w.proven.Store(int64(began))
		if took := time.Since(w.begun) - began; took >= confirmTimeout {
			return nil, fmt.Errorf("claim confirmed too late: after %v", took)
		}
		return nil, nil
	})
	if errors.Is(err, ErrFenced) {
		w.end(err)
	}
	if err != nil {
		return err
	}
	return w.claim.MayAct()
}

// send is the last step of a command. A claim that was lost or whose health is in
// doubt lets nothing out; the decision is then made again.
func (w *worker) send(ctx context.Context, cmd lattice.Command) {
	if ctx.Err() != nil {
		return
	}
	if age := time.Since(cmd.SentAt); age >= w.s.cfg.Core.CommandDeadline {
		// It waited behind silent hosts, and the decision has given it up: by now
		// it could come on top of another one.
		w.log.Warn("command dropped: its turn came after its deadline", "command", cmd.ID, "kind", cmd.Kind, "target", cmd.Target(), "age", age)
		return
	}
	if err := w.mayAct(ctx); ctx.Err() != nil {
		return
	} else if err != nil {
		w.log.Warn("command held back", "command", cmd.ID, "reason", err)
		w.reply(ctx, cmd, lattice.Reply{Outcome: lattice.Unsent, Message: err.Error()})
		return
	}
	if !w.unsent.take(cmd.ID) {
		return
	}
	claim := w.claim
	claim.Guard = &Guard{MayAct: func() error { return w.mayAct(ctx) }}
	sctx, span := w.s.startSend(ctx, claim, cmd)
	r := w.s.deps.Hosts.Send(sctx, claim, cmd)
	endSend(span, r)
	switch r.Outcome {
	case lattice.Accepted:
		w.s.Stats.Accepted.Add(1)
	case lattice.Refused:
		w.s.Stats.Refused.Add(1)
	case lattice.Undelivered:
		w.s.Stats.Undelivered.Add(1)
	case lattice.Unknown:
		w.s.Stats.Unanswered.Add(1)
	}
	cut := r.Outcome == lattice.Unknown && ctx.Err() != nil
	if r.Outcome != lattice.Accepted && !cut {
		w.log.Warn("command not accepted", "command", cmd.ID, "kind", cmd.Kind, "target", cmd.Target(), "outcome", r.Outcome, "message", r.Message)
	}
	w.reply(ctx, cmd, r)
}

func (w *worker) reply(ctx context.Context, cmd lattice.Command, r lattice.Reply) {
	w.post(ctx, input{cause: causeReply(cmd), decide: func(st *core.State, now time.Time) (core.Decision, error) {
		return st.Reply(cmd, r, now), nil
	}})
}

// query asks the lattice something and hands the answer to the state.
func (w *worker) query(ctx context.Context, q core.Query) {
	w.s.Stats.Queries.Add(1)
	var expected []lattice.HostID
	if q.Kind == core.AskHosts {
		expected = w.state.KnownHosts()
	}
	w.task(ctx, &w.asking, func(ctx context.Context) {
		answer := w.ask(ctx, q, expected)
		w.post(ctx, input{cause: causeAnswer, decide: func(st *core.State, now time.Time) (core.Decision, error) {
			return answer(st, now), nil
		}})
	})
}

// ask puts a question; a roll call may end early once the expected hosts have answered.
func (w *worker) ask(ctx context.Context, q core.Query, expected []lattice.HostID) func(*core.State, time.Time) core.Decision {
	key, hosts := w.claim.Key, w.s.deps.Hosts
	switch q.Kind {
	case core.AskHosts:
		ids, err := hosts.Ping(ctx, key, expected)
		if err != nil {
			if ctx.Err() == nil {
				w.log.Warn("roll call failed", "error", err)
			}
			return (*core.State).HostsFailed
		}
		return func(st *core.State, now time.Time) core.Decision { return st.HostsListed(ids, now) }
	case core.AskInventory:
		inv, err := hosts.Inventory(ctx, key, q.Host)
		if err != nil {
			undelivered := errors.Is(err, ErrUndelivered)
			return func(st *core.State, now time.Time) core.Decision { return st.InventoryFailed(q.Host, undelivered, now) }
		}
		inv.Host = q.Host
		return func(st *core.State, now time.Time) core.Decision { return st.InventoryRead(inv, now) }
	case core.AskLinks:
		links, err := hosts.Links(ctx, key)
		if err != nil {
			return (*core.State).LinksFailed
		}
		return func(st *core.State, now time.Time) core.Decision { return st.LinksListed(links, now) }
	default:
		value, ok, err := hosts.Config(ctx, key, q.Config)
		if errors.Is(err, tenancy.ErrBadName) {
			// No host can be told to store it, so it does not exist, today or tomorrow.
			err = nil
		}
		if err != nil {
			return func(st *core.State, now time.Time) core.Decision { return st.ConfigFailed(q.Config, now) }
		}
		return func(st *core.State, now time.Time) core.Decision { return st.ConfigRead(q.Config, value, ok, now) }
	}
}
