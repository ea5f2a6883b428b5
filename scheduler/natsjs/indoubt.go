package natsjs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/scheduler"
	"wadm/scheduler/lattice"
)

const (
	// maxNotes bounds the outcomes that wait to be stored. What comes beyond it is
	// dropped: a lost note costs a successor patience.
	maxNotes = 100_000
	// maxInDoubt bounds the messages one recovery reads.
	maxInDoubt = 100_000
)

// note is the other kind of message beside an array of commands: their outcomes
// are known.
type note struct {
	Resolved []string `json:"resolved"`
}

// Resolve notes that the outcome of commands is known. It only queues: the note
// is stored by Run, together with others of the same claim. The error is that of
// the claim.
func (l *Ledger) Resolve(_ context.Context, c scheduler.Claim, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	if err := check(c); err != nil {
		return fmt.Errorf("resolve commands: %w", err)
	}
	l.mu.Lock()
	if l.ids+len(ids) > maxNotes {
		l.mu.Unlock()
		l.log.Warn("notes of outcomes dropped: too many wait", "tenant", c.Key.Tenant, "lattice", c.Key.Lattice, "epoch", c.Epoch, "notes", len(ids))
		return nil
	}
	l.notes[c] = append(l.notes[c], ids...)
	l.ids += len(ids)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// Settle stores the notes of c that are queued, and ids with them, and returns
// once they are stored. Those that Run is storing just then it does not wait for.
func (l *Ledger) Settle(ctx context.Context, c scheduler.Claim, ids []string) error {
	if err := check(c); err != nil {
		return fmt.Errorf("settle commands: %w", err)
	}
	l.mu.Lock()
	queued := l.notes[c]
	delete(l.notes, c)
	l.ids -= len(queued)
	l.mu.Unlock()
	if err := l.storeNote(ctx, c, append(queued, ids...)); err != nil {
		return fmt.Errorf("settle commands: %w", err)
	}
	return nil
}

// Run stores the queued notes until ctx ends; those still queued then get a
// second. It may be called once.
func (l *Ledger) Run(ctx context.Context) error {
	if l.running.Swap(true) {
		return errors.New("run ledger: it runs already or has ended")
	}
	for {
		select {
		case <-l.wake:
			l.storeNotes(ctx)
		case <-ctx.Done():
			rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			l.storeNotes(rest)
			return nil
		}
	}
}

// storeNotes writes what is queued now, one message per claim where it fits.
func (l *Ledger) storeNotes(ctx context.Context) {
	l.mu.Lock()
	notes := l.notes
	l.notes, l.ids = map[scheduler.Claim][]string{}, 0
	l.mu.Unlock()
	for c, ids := range notes {
		err := l.storeNote(ctx, c, ids)
		switch {
		case err == nil:
		case errors.Is(err, scheduler.ErrFenced):
			// The successor has read the ledger already.
			l.log.Debug("note of outcomes fenced", "tenant", c.Key.Tenant, "lattice", c.Key.Lattice, "epoch", c.Epoch)
		default:
			l.log.Warn("note of outcomes not stored", "tenant", c.Key.Tenant, "lattice", c.Key.Lattice, "epoch", c.Epoch, "error", err)
		}
	}
}

func (l *Ledger) storeNote(ctx context.Context, c scheduler.Claim, ids []string) error {
	encoded := make([][]byte, len(ids))
	for i, id := range ids {
		var err error
		if encoded[i], err = json.Marshal(id); err != nil {
			return err
		}
	}
	parts, err := pack(`{"resolved":[`, encoded, "]}", l.s.mostBytes())
	if err != nil {
		return err
	}
	for _, data := range parts {
		// Stored later than the commands, it outlives them.
		if err := l.write(ctx, c, commandSubject+c.Key.Token(), data, l.s.cfg.CommandTTL, false); err != nil {
			return err
		}
	}
	return nil
}

// InDoubt lists the commands the ledger still remembers without a note of their
// outcome, oldest first, each id once in its latest form. SentAt is converted to
// the caller's clock: that of the owner that sent them may have been hours off.
//
// Only a claim that cannot be confirmed is an error. A ledger that is too slow for
// all of them gives those it gave, with a warning: the hosts are asked what they
// run anyway, and commands are absolute, so a take-over need not wait for them.
func (l *Ledger) InDoubt(ctx context.Context, c scheduler.Claim) ([]lattice.Command, error) {
	if err := check(c); err != nil {
		return nil, fmt.Errorf("read commands in doubt: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, 2*l.s.cfg.APITimeout)
	defer cancel()
	if err := l.current(limited, c); err != nil {
		return nil, fmt.Errorf("read commands in doubt: %w", err)
	}
	doubt := newDoubt()
	n, err := l.readDoubt(limited, c, doubt)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("read commands in doubt: %w", context.Cause(ctx))
	}
	if err != nil {
		l.log.Warn("not all commands in doubt were read; going on without the rest", "tenant", c.Key.Tenant, "lattice", c.Key.Lattice,
			"epoch", c.Epoch, "messages", n, "error", err)
	}
	cmds := doubt.list()
	if len(cmds) > 0 {
		l.translate(ctx, cmds, doubt)
	}
	return cmds, nil
}

// readDoubt reads the messages of a lattice's commands, and tells how many it has
// read. Most lattices have none; one request then settles it.
func (l *Ledger) readDoubt(ctx context.Context, c scheduler.Claim, doubt *doubt) (n int, err error) {
	subject := commandSubject + c.Key.Token()
	for seq := uint64(1); n < maxInDoubt; n++ {
		m, err := l.get(ctx, getRequest{Seq: seq, NextFor: subject})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if err := doubt.add(m.Data, m.Time); err != nil {
			// Not ours or damaged. Commands are absolute, so missing one is safe.
			l.log.Warn("message in the ledger not readable", "tenant", c.Key.Tenant, "lattice", c.Key.Lattice, "epoch", c.Epoch, "sequence", m.Sequence, "error", err)
		}
		seq = m.Sequence + 1
	}
	return n, fmt.Errorf("there are more than %d messages on %s", maxInDoubt, subject)
}

// translate puts the commands' times into this process's clock, by the age that
// the ledger's server knows. Without its answer a time from the future counts as now.
func (l *Ledger) translate(ctx context.Context, cmds []lattice.Command, doubt *doubt) {
	limited, cancel := context.WithTimeout(ctx, l.s.cfg.APITimeout)
	defer cancel()
	st, err := l.s.js.Stream(limited, l.s.cfg.Ledger)
	now := time.Now()
	for i := range cmds {
		stored := doubt.commands[cmds[i].ID].stored
		switch {
		case err == nil && !stored.IsZero() && !st.CachedInfo().TimeStamp.IsZero():
			cmds[i].SentAt = now.Add(-max(0, st.CachedInfo().TimeStamp.Sub(stored)))
		case cmds[i].SentAt.After(now):
			cmds[i].SentAt = now
		}
	}
}

// doubt pairs commands with the notes that follow them.
type doubt struct {
	commands map[string]placed
	n        int
}

type placed struct {
	at  int
	cmd lattice.Command
	// stored is when, by the clock of the ledger's server.
	stored time.Time
}

func newDoubt() *doubt { return &doubt{commands: map[string]placed{}} }

func (d *doubt) add(data []byte, stored time.Time) error {
	data = bytes.TrimLeft(data, " \t\r\n")
	if len(data) > 0 && data[0] == '[' {
		var cmds []lattice.Command
		if err := json.Unmarshal(data, &cmds); err != nil {
			return fmt.Errorf("decode commands: %w", err)
		}
		for _, cmd := range cmds {
			d.n++
			d.commands[cmd.ID] = placed{d.n, cmd, stored}
		}
		return nil
	}
	var n note
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("decode note: %w", err)
	}
	for _, id := range n.Resolved {
		delete(d.commands, id)
	}
	return nil
}

func (d *doubt) list() []lattice.Command {
	all := make([]placed, 0, len(d.commands))
	for _, p := range d.commands {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b placed) int { return a.at - b.at })
	cmds := make([]lattice.Command, len(all))
	for i, p := range all {
		cmds[i] = p.cmd
	}
	return cmds
}

// getRequest asks the stream itself, not a copy that may be behind.
type getRequest struct {
	Seq     uint64 `json:"seq,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
}

type stored struct {
	Sequence uint64    `json:"seq"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// get reads one message. jetstream.ErrMsgNotFound: there is none. Whatever else
// fails is tried again until ctx ends.
func (l *Ledger) get(ctx context.Context, req getRequest) (stored, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return stored{}, err
	}
	for try := 0; ; try++ {
		m, err := l.getOnce(ctx, body)
		if err == nil || errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, nats.ErrConnectionClosed) {
			return m, err
		}
		if !pause(ctx, try) {
			return stored{}, fmt.Errorf("read ledger: %w", err)
		}
	}
}

func (l *Ledger) getOnce(ctx context.Context, body []byte) (stored, error) {
	answer, err := l.s.nc.RequestWithContext(ctx, l.s.api+"STREAM.MSG.GET."+l.s.cfg.Ledger, body)
	if err != nil {
		return stored{}, err
	}
	var r struct {
		Error   *jetstream.APIError `json:"error"`
		Message *stored             `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &r); err != nil {
		return stored{}, err
	}
	switch {
	case r.Error != nil && r.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return stored{}, jetstream.ErrMsgNotFound
	case r.Error != nil:
		return stored{}, r.Error
	case r.Message == nil:
		return stored{}, errors.New("answer without message")
	}
	return *r.Message, nil
}
