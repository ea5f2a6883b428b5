package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/scheduler"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// Ping lists the hosts that answer, sorted, each once. It ends when the gather
// window does, when answers have stopped coming for the quiet time (much less once
// all expected hosts have answered), or at once when nobody listens, which is an
// empty list and no error. A host that is compiling does not answer: absence says
// nothing.
func (c *Client) Ping(ctx context.Context, key tenancy.LatticeKey, expected []lattice.HostID) ([]lattice.HostID, error) {
	subject, err := c.subject(key, "host.ping")
	if err != nil {
		return nil, fmt.Errorf("ping hosts: %w", err)
	}
	inbox := c.nc.NewInbox()
	sub, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ping hosts: %w: %w", scheduler.ErrNoAnswer, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	m := &nats.Msg{Subject: subject, Reply: inbox, Header: c.headers(ctx, 0, "")}
	if err := c.nc.PublishMsg(m); err != nil {
		return nil, fmt.Errorf("ping hosts: %w: %w", scheduler.ErrNoAnswer, err)
	}
	end := time.Now().Add(c.cfg.Gather)
	missing := make(map[lattice.HostID]bool, len(expected))
	for _, id := range expected {
		missing[id] = true
	}
	var hosts []lattice.HostID
	for wait := c.cfg.Gather; wait > 0; {
		answer, err := nextMsg(ctx, sub, wait)
		if errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("ping hosts: %w: %w", scheduler.ErrNoAnswer, err)
		}
		// One unreadable answer must not hide the other hosts.
		if id, ok := decodePing(answer.Data); ok {
			hosts = append(hosts, id)
			delete(missing, id)
		}
		quiet := c.cfg.GatherQuiet
		if len(expected) > 0 && len(missing) == 0 {
			quiet = min(quiet, c.cfg.GatherKnown)
		}
		wait = min(quiet, time.Until(end))
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), nil
}

// nextMsg waits for the next message of sub, for wait at most; that ends with
// nats.ErrTimeout, an end of ctx with its own error.
func nextMsg(ctx context.Context, sub *nats.Subscription, wait time.Duration) (*nats.Msg, error) {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	m, err := sub.NextMsgWithContext(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return nil, nats.ErrTimeout
	}
	return m, err
}

func decodePing(data []byte) (lattice.HostID, bool) {
	r, err := decodeReply(data)
	if err != nil || !*r.Success || r.Response == nil {
		return "", false
	}
	var host struct {
		ID     lattice.HostID `json:"id"`
		HostID lattice.HostID `json:"host_id"`
	}
	if json.Unmarshal(r.Response, &host) != nil {
		return "", false
	}
	if host.ID == "" {
		host.ID = host.HostID
	}
	// The id goes into subjects soon.
	return host.ID, host.ID.Valid()
}

// Inventory asks one host for everything it runs. ErrUndelivered: nobody listens
// under that id. ErrNoAnswer: the host is busy or gone.
func (c *Client) Inventory(ctx context.Context, key tenancy.LatticeKey, host lattice.HostID) (lattice.Inventory, error) {
	if err := checkHost(host); err != nil {
		return lattice.Inventory{}, fmt.Errorf("get inventory: %w", err)
	}
	data, err := c.get(ctx, key, "host.get."+string(host), false)
	if err != nil {
		return lattice.Inventory{}, fmt.Errorf("get inventory: %w", err)
	}
	inv, err := decodeInventory(data, host)
	if err != nil {
		return lattice.Inventory{}, fmt.Errorf("get inventory of %s: %w: %w", host, scheduler.ErrNoAnswer, err)
	}
	return inv, nil
}

func decodeInventory(data []byte, host lattice.HostID) (lattice.Inventory, error) {
	if data == nil {
		return lattice.Inventory{}, errors.New("the reply has no inventory")
	}
	inv, err := lattice.DecodeInventory(data)
	if err != nil {
		return lattice.Inventory{}, err
	}
	// Whoever answers on a host's own subject speaks for that host only.
	if inv.Host == "" {
		inv.Host = host
	}
	if inv.Host != host {
		return lattice.Inventory{}, fmt.Errorf("the reply is of host %q", clip(string(inv.Host)))
	}
	return inv, nil
}

// Links lists the links known to the host that answers. They trail a put by a
// moment, so a link that is missing right after its put is not missing.
func (c *Client) Links(ctx context.Context, key tenancy.LatticeKey) ([]lattice.Link, error) {
	data, err := c.get(ctx, key, "link.get", true)
	if err != nil {
		return nil, fmt.Errorf("get links: %w", err)
	}
	links, err := decodeLinks(data)
	if err != nil {
		return nil, fmt.Errorf("get links: %w: %w", scheduler.ErrNoAnswer, err)
	}
	return links, nil
}

func decodeLinks(data []byte) ([]lattice.Link, error) {
	if data == nil {
		return []lattice.Link{}, nil
	}
	links := []lattice.Link{}
	if err := json.Unmarshal(data, &links); err != nil {
		return nil, err
	}
	for i := range links {
		l := &links[i]
		if l.Name == "" {
			l.Name = "default"
		}
		l.Interfaces, l.SourceConfig, l.TargetConfig = listOf(l.Interfaces), listOf(l.SourceConfig), listOf(l.TargetConfig)
	}
	return links, nil
}

// Config reads a configuration; ok is false when it does not exist.
func (c *Client) Config(ctx context.Context, key tenancy.LatticeKey, name string) (value map[string]string, ok bool, err error) {
	if err := checkConfig(name); err != nil {
		return nil, false, fmt.Errorf("get configuration: %w", err)
	}
	data, err := c.get(ctx, key, "config.get."+name, true)
	if err != nil {
		return nil, false, fmt.Errorf("get configuration %s: %w", name, err)
	}
	value, ok, err = decodeConfig(data)
	if err != nil {
		return nil, false, fmt.Errorf("get configuration %s: %w: %w", name, scheduler.ErrNoAnswer, err)
	}
	return value, ok, nil
}

// decodeConfig: a missing configuration is a successful reply without a response.
func decodeConfig(data []byte) (map[string]string, bool, error) {
	if data == nil {
		return nil, false, nil
	}
	value := map[string]string{}
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, false, err
	}
	return value, true, nil
}

// get asks for something and returns the response of a successful reply, nil
// when there is none.
func (c *Client) get(ctx context.Context, key tenancy.LatticeKey, rest string, twice bool) ([]byte, error) {
	subject, err := c.subject(key, rest)
	if err != nil {
		return nil, err
	}
	r, err := c.ask(ctx, &nats.Msg{Subject: subject, Header: c.headers(ctx, 0, "")}, twice, anyone)
	if err != nil {
		return nil, err
	}
	if !*r.Success {
		return nil, errRefused{strings.TrimSpace(r.Message)}
	}
	return r.Response, nil
}

// anyone may ask a question at any time.
func anyone() error { return nil }
