package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

// first is the component that is stopped and scaled.
const first lattice.WorkloadID = app + "-c0"

func manifest(components int, version string, count int) []byte {
	type object = map[string]any
	var list []object
	for i := range components {
		n := perHost
		if i == 0 {
			n = count
		}
		list = append(list, object{
			"name": fmt.Sprintf("c%d", i), "type": "component", "properties": object{"image": fmt.Sprintf("bench.test/c%d:1", i)},
			"traits": []object{{"type": "daemonscaler", "properties": object{"instances": n}}},
		})
	}
	b, err := json.Marshal(object{
		"apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
		"metadata": object{"name": app, "annotations": object{"version": version}}, "spec": object{"components": list},
	})
	if err != nil {
		return nil // the server refuses it
	}
	return b
}

// mark is the state of all counters at a moment.
type mark struct {
	cpu      time.Duration
	traffic  Traffic
	beats    int
	commands int
}

func (b *bench) mark() (m mark, err error) {
	if b.target.PID > 0 {
		if m.cpu, err = processorTime(b.target.PID); err != nil {
			return mark{}, err
		}
	}
	if b.target.Traffic != nil {
		if m.traffic, err = b.target.Traffic(); err != nil {
			return mark{}, err
		}
	}
	for _, l := range b.lats {
		s := l.sim.Stats()
		m.beats += s.Events[lattice.HostHeartbeat]
		for _, n := range s.Commands {
			m.commands += n
		}
	}
	return m, nil
}

// since sums up what happened between two marks; handled is how many of the sent
// heartbeats were.
func (m mark) since(before mark, sent, handled int, took time.Duration) Heartbeats {
	n := float64(max(handled, 1))
	return Heartbeats{
		Sent: sent, Handled: handled, Rate: float64(handled) / took.Seconds(),
		CPU:      float64((m.cpu - before.cpu).Microseconds()) / n,
		Messages: float64(m.traffic.Messages-before.traffic.Messages) / n,
		Bytes:    float64(m.traffic.Bytes-before.traffic.Bytes) / n,
		Commands: m.commands - before.commands,
	}
}

// quiet lets the hosts beat and does nothing else.
func (b *bench) quiet(ctx context.Context) (Heartbeats, error) {
	before, err := b.mark()
	if err != nil {
		return Heartbeats{}, err
	}
	begin := time.Now()
	if err := pause(ctx, b.cfg.Duration); err != nil {
		return Heartbeats{}, err
	}
	took := time.Since(begin)
	// Looking at the backlog costs the server under test nothing, but traffic.
	after, err := b.mark()
	if err != nil {
		return Heartbeats{}, err
	}
	left, err := b.backlog(ctx)
	if err != nil {
		return Heartbeats{}, err
	}
	sent := after.beats - before.beats
	return after.since(before, sent, max(sent-left, 0), took), nil
}

// window is how many heartbeats may be unhandled while as many as possible are sent.
const window = 2000

// most repeats every host's last heartbeat, with a new id and time, as fast as the
// server keeps up.
func (b *bench) most(ctx context.Context) (Heartbeats, error) {
	beats, err := b.capture(ctx)
	if err != nil {
		return Heartbeats{}, err
	}
	if err := b.drained(ctx); err != nil {
		return Heartbeats{}, err
	}
	before, err := b.mark()
	if err != nil {
		return Heartbeats{}, err
	}
	begin, sent, left := time.Now(), 0, 0
	for time.Since(begin) < b.cfg.Duration {
		if left < window {
			for range window / 4 {
				if err := beats[sent%len(beats)].send(b.target.NATS, sent); err != nil {
					return Heartbeats{}, err
				}
				sent++
			}
			if err := b.target.NATS.FlushTimeout(patience); err != nil {
				return Heartbeats{}, fmt.Errorf("send heartbeats: %w", err)
			}
		} else if err := pause(ctx, 5*time.Millisecond); err != nil {
			return Heartbeats{}, err
		}
		if left, err = b.backlog(ctx); err != nil {
			return Heartbeats{}, err
		}
	}
	took := time.Since(begin)
	after, err := b.mark()
	if err != nil {
		return Heartbeats{}, err
	}
	sent += after.beats - before.beats
	return after.since(before, sent, max(sent-left, 0), took), nil
}

// beat is a heartbeat that can be sent again.
type beat struct {
	subject string
	fields  map[string]json.RawMessage
}

func (h *beat) send(nc *nats.Conn, n int) error {
	h.fields["id"] = json.RawMessage(strconv.Quote(fmt.Sprintf("bench-%d", n)))
	h.fields["time"] = json.RawMessage(strconv.Quote(time.Now().UTC().Format(time.RFC3339Nano)))
	data, err := json.Marshal(h.fields)
	if err != nil {
		return fmt.Errorf("encode heartbeat: %w", err)
	}
	if err := nc.Publish(h.subject, data); err != nil {
		return fmt.Errorf("send heartbeat: %w", err)
	}
	return nil
}

// capture listens until every host has sent a heartbeat.
func (b *bench) capture(ctx context.Context) ([]*beat, error) {
	var out []*beat
	for _, l := range b.lats {
		sub, err := b.target.NATS.SubscribeSync("wasmbus.evt." + l.sim.Name() + ".host_heartbeat")
		if err != nil {
			return nil, fmt.Errorf("listen to heartbeats: %w", err)
		}
		seen := map[string]bool{}
		for len(seen) < b.cfg.Hosts {
			m, err := sub.NextMsgWithContext(ctx)
			if err != nil {
				return nil, fmt.Errorf("listen to heartbeats: %w", err)
			}
			h := &beat{subject: m.Subject}
			if err := json.Unmarshal(m.Data, &h.fields); err != nil {
				return nil, fmt.Errorf("decode heartbeat: %w", err)
			}
			if source := string(h.fields["source"]); !seen[source] {
				seen[source] = true
				out = append(out, h)
			}
		}
		if err := sub.Unsubscribe(); err != nil {
			return nil, fmt.Errorf("listen to heartbeats: %w", err)
		}
	}
	return out, nil
}

// patience is how long a command may take to count at all.
const patience = 15 * time.Second

// reactions stops instances by hand and waits for the command that follows.
func (b *bench) reactions(ctx context.Context) (Durations, error) {
	return b.repeat(ctx, b.cfg.Reactions, func(l *bed, i int) (time.Time, error) {
		hosts := l.sim.Hosts()
		select {
		case <-l.command:
		default:
		}
		begin := time.Now()
		return begin, hosts[i%len(hosts)].RemoveComponent(first)
	}, func(int) int { return perHost })
}

// deploys changes the count of the first component back and forth.
func (b *bench) deploys(ctx context.Context) (Durations, error) {
	count := func(i int) int { return perHost + 1 - i/len(b.lats)%2 }
	return b.repeat(ctx, b.cfg.Deploys, func(l *bed, i int) (time.Time, error) {
		err := l.deploy(ctx, b.cfg, count(i))
		return time.Now(), err
	}, count)
}

// repeat times n actions, one after the other over all lattices: from when the
// action says until the next command. Then the lattice must be complete again.
func (b *bench) repeat(ctx context.Context, n int, do func(*bed, int) (time.Time, error), count func(int) int) (Durations, error) {
	var took []time.Duration
	missed := 0
	for i := range n {
		l := b.lats[i%len(b.lats)]
		begin, err := do(l, i)
		if err != nil {
			return Durations{}, err
		}
		wait, cancel := context.WithTimeout(ctx, patience)
		var r simhost.Record
		select {
		case r = <-l.command:
			// The command may overtake the acknowledgement.
			took = append(took, max(r.Time.Sub(begin), 0))
		case <-wait.Done():
			missed++
		}
		cancel()
		settle, cancel := context.WithTimeout(ctx, b.cfg.Settle)
		err = l.sim.WaitFor(settle, func() bool { return l.complete(b.cfg, count(i)) })
		cancel()
		if err != nil {
			return Durations{}, err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return Durations{}, err
		}
	}
	return sumUp(took, missed), nil
}

// ticks per second in which Linux counts processor time for programs.
const ticks = 100

// processorTime is what a process has used so far, of user and system.
func processorTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	// The second field is the name, in parentheses, and may hold blanks.
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("read processor time: %d fields", len(fields))
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("read processor time: %q and %q", fields[11], fields[12])
	}
	return time.Duration(user+system) * time.Second / ticks, nil
}
