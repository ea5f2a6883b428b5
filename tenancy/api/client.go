package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// ClientConfig says where a client asks. The zero value asks for the lattice
// "default" of a single-tenant server.
type ClientConfig struct {
	// Prefix of the request subjects. Default wadm.api.
	Prefix string
	// Tenant is needed where the server is multi-tenant and the connection is not in
	// an account that adds it. Empty: subjects carry none.
	Tenant tenancy.Tenant
	// Lattice, default "default".
	Lattice tenancy.Lattice
	// Timeout of a request whose context has no deadline. Default 10 s.
	Timeout time.Duration
}

// Client asks a wadm server: this one or upstream's. It may be used from any
// goroutine. Its errors are those of errors.go and what the connection says.
type Client struct {
	nc      *nats.Conn
	subject string
	status  string
	timeout time.Duration
}

// NewClient checks the names; nothing is sent.
func NewClient(nc *nats.Conn, cfg ClientConfig) (*Client, error) {
	if nc == nil {
		return nil, errors.New("api: connection is required")
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "wadm.api"
	}
	if cfg.Lattice == "" {
		cfg.Lattice = "default"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	lattice, err := tenancy.ParseLattice(string(cfg.Lattice))
	if err != nil {
		return nil, err
	}
	var tenant string
	if cfg.Tenant != "" {
		t, err := tenancy.ParseTenant(string(cfg.Tenant))
		if err != nil {
			return nil, err
		}
		tenant = string(t) + "."
	}
	return &Client{
		nc:      nc,
		subject: tenant + strings.Trim(cfg.Prefix, ".") + "." + string(lattice) + ".model.",
		status:  tenant + "wadm.status." + string(lattice) + ".",
		timeout: cfg.Timeout,
	}, nil
}

// ask sends a request and decodes its reply into reply, unless it is an error.
func (c *Client) ask(ctx context.Context, operation string, m *nats.Msg, reply any) error {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	m.Subject = c.subject + operation
	for k, v := range inject(ctx) {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header[k] = v
	}
	answer, err := c.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return unanswered(m.Subject, err)
	}
	var outcome struct {
		Result  string `json:"result"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &outcome); err != nil {
		return fmt.Errorf("decode reply to %s: %w", m.Subject, err)
	}
	switch outcome.Result {
	case resultError:
		return refused(outcome.Message)
	case resultNotFound:
		return &RefusedError{Kind: ErrNotFound, Message: outcome.Message}
	}
	if err := json.Unmarshal(answer.Data, reply); err != nil {
		return fmt.Errorf("decode reply to %s: %w", m.Subject, err)
	}
	return nil
}

// named is ask about an application, for a version if one is given.
func (c *Client) named(ctx context.Context, operation, app string, version *string, reply any) error {
	app, err := tenancy.ParseApp(app)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var m nats.Msg
	if version != nil {
		if m.Data, err = encode(map[string]string{"version": *version}); err != nil {
			return err
		}
	}
	return c.ask(ctx, operation+"."+app, &m, reply)
}

// List lists the applications of the lattice by name.
func (c *Client) List(ctx context.Context) ([]ModelSummary, error) {
	var r listReply
	if err := c.ask(ctx, "get", &nats.Msg{}, &r); err != nil {
		return nil, err
	}
	return r.Models, nil
}

// Get reads a version of an application, the last put one when version is nil.
func (c *Client) Get(ctx context.Context, app string, version *string) (*manifest.Manifest, error) {
	var r getReply
	if err := c.named(ctx, "get", app, version, &r); err != nil {
		return nil, err
	}
	m := new(manifest.Manifest)
	if err := json.Unmarshal(r.Manifest, m); err != nil {
		return nil, fmt.Errorf("decode manifest of %s: %w", app, err)
	}
	return m, nil
}

// PutResult is the outcome of a put.
type PutResult struct {
	Name, Version string
	// Total is the number of versions stored now.
	Total int
	// Message is the server's sentence; it may hold hints.
	Message string
}

// Put stores a manifest. contentType is application/json, application/yaml, or
// empty to let the server find out.
func (c *Client) Put(ctx context.Context, data []byte, contentType string) (PutResult, error) {
	m := &nats.Msg{Data: data}
	if contentType != "" {
		m.Header = nats.Header{"Content-Type": []string{contentType}}
	}
	var r putReply
	if err := c.ask(ctx, "put", m, &r); err != nil {
		return PutResult{}, err
	}
	return PutResult{Name: r.Name, Version: r.CurrentVersion, Total: r.TotalVersions, Message: r.Message}, nil
}

// Deploy deploys a version, the last put one when version is nil, and returns which.
func (c *Client) Deploy(ctx context.Context, app string, version *string) (string, error) {
	var r deployReply
	if err := c.named(ctx, "deploy", app, version, &r); err != nil {
		return "", err
	}
	if r.Version == nil {
		return "", nil
	}
	return *r.Version, nil
}

// Undeploy takes an application out of service and keeps its versions. It succeeds
// when it was out of service already.
func (c *Client) Undeploy(ctx context.Context, app string) error {
	return c.named(ctx, "undeploy", app, nil, &deployReply{})
}

// DeleteResult is the outcome of a delete.
type DeleteResult struct {
	// Existed: there was something to delete.
	Existed bool
	// Undeployed: what was deleted is being taken out of service.
	Undeployed bool
	Message    string
}

// Delete deletes a version, all versions when version is nil. That there is none is
// no error.
func (c *Client) Delete(ctx context.Context, app string, version *string) (DeleteResult, error) {
	var r deleteReply
	if err := c.named(ctx, "del", app, version, &r); err != nil {
		return DeleteResult{}, err
	}
	return DeleteResult{Existed: r.Result == resultDeleted, Undeployed: r.Undeploy, Message: r.Message}, nil
}

// Explain tells why an application is as it is, as a JSON object of the server's
// version. A server that cannot, such as upstream's, refuses with ErrInvalid.
func (c *Client) Explain(ctx context.Context, app string) (json.RawMessage, error) {
	var r explainReply
	if err := c.named(ctx, "explain", app, nil, &r); err != nil {
		return nil, err
	}
	return r.Explanation, nil
}

// Versions lists the versions of an application in the order they were put.
func (c *Client) Versions(ctx context.Context, app string) ([]VersionInfo, error) {
	var r versionsReply
	if err := c.named(ctx, "versions", app, nil, &r); err != nil {
		return nil, err
	}
	return r.Versions, nil
}

// Status reads the public status of an application. An unknown one is undeployed.
func (c *Client) Status(ctx context.Context, app string) (tenancy.Status, error) {
	var r statusReply
	if err := c.named(ctx, "status", app, nil, &r); err != nil {
		return tenancy.Status{}, err
	}
	if r.Status == nil {
		return tenancy.Status{}, &RefusedError{Kind: ErrServer, Message: "the reply has no status"}
	}
	return *r.Status, nil
}

// WatchStatus calls changed with the current status of an application and then with
// every one that is published, in order, until ctx ends or the connection is closed.
// It returns nil when ctx ended. It subscribes before it reads, so nothing is missed
// while the connection lasts; a status may come twice. What cannot be decoded is
// passed over.
func (c *Client) WatchStatus(ctx context.Context, app string, changed func(tenancy.Status)) error {
	app, err := tenancy.ParseApp(app)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	sub, err := c.nc.SubscribeSync(c.status + app)
	if err != nil {
		return fmt.Errorf("subscribe %s: %w", c.status+app, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for behind := true; ; {
		if behind {
			now, err := c.Status(ctx, app)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				return err
			}
			changed(now)
			behind = false
		}
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrSlowConsumer):
			behind = true
			continue
		case err != nil:
			return fmt.Errorf("watch %s: %w", c.status+app, err)
		}
		if s, err := tenancy.DecodeStatus(m.Data); err == nil {
			changed(s)
		}
	}
}
