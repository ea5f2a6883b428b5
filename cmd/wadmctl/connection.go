package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/synadia-io/orbit.go/natscontext"

	"wadm/config/natsconn"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// connection is where and as whom to ask.
type connection struct {
	server, host    string
	port            int
	jwt, seed       string
	creds, ca       string
	tlsFirst        bool
	context         string
	lattice, prefix string
	jsDomain        string
	timeout         duration
	timeoutMS       uint32
	format          string
}

const (
	defaultTimeout     = 5 * time.Second
	defaultWaitTimeout = 5 * time.Minute
	// connectTimeout bounds the attempts to reach NATS: a person is waiting.
	connectTimeout = 2 * time.Second
)

// variable is the annotation of a flag that names its variable.
const variable = "variable"

// globalFlags adds the flags of every command: those of wash by wash's names
// and variables, and a few of our own.
func (p *program) globalFlags(f *pflag.FlagSet) {
	c := &p.conn
	f.SortFlags = false
	f.StringVarP(&c.server, "server", "s", "", "NATS server as host:port or URL; several with commas. Wins over --ctl-host and --ctl-port")
	f.StringVarP(&c.host, "ctl-host", "r", "127.0.0.1", "host of the NATS server")
	f.IntVarP(&c.port, "ctl-port", "p", 4222, "port of the NATS server")
	f.StringVar(&c.jwt, "ctl-jwt", "", "user JWT, or a file that holds it; needs --ctl-seed")
	f.StringVar(&c.seed, "ctl-seed", "", "seed of the user, or a file that holds it")
	f.StringVar(&c.creds, "ctl-credsfile", "", "credentials file, instead of JWT and seed")
	f.StringVar(&c.ca, "ctl-tls-ca-file", "", "root certificates for TLS")
	f.BoolVar(&c.tlsFirst, "ctl-tls-first", false, "do the TLS handshake before the server greets")
	f.StringVar(&c.context, "nats-context", "", "context of the nats tool to connect with; other connection flags are not used")
	f.StringVarP(&c.lattice, "lattice", "x", "default", "lattice")
	f.StringVar(&c.prefix, "api-prefix", "wadm.api", "first part of the request subjects")
	c.timeout = duration(defaultTimeout)
	f.Var(&c.timeout, "timeout", "how long an answer may take, such as 5s (with --wait: the whole wait, 5m unless given)")
	f.Uint32VarP(&c.timeoutMS, "timeout-ms", "t", 0, "the same in milliseconds, as wash has it")
	f.StringVarP(&c.format, "output", "o", "text", "form of the output: text or json")
	f.BoolVarP(&p.out.quiet, "quiet", "q", false, "no progress and no remarks on stderr")
	f.String("context", "", "")
	f.StringVar(&c.jsDomain, "js-domain", "", "")
	for name, v := range map[string]string{
		"ctl-host": "WASMCLOUD_CTL_HOST", "ctl-port": "WASMCLOUD_CTL_PORT", "ctl-jwt": "WASMCLOUD_CTL_JWT", "ctl-seed": "WASMCLOUD_CTL_SEED",
		"ctl-credsfile": "WASH_CTL_CREDS", "ctl-tls-ca-file": "WASH_CTL_TLS_CA_FILE", "ctl-tls-first": "WASH_CTL_TLS_FIRST",
		"lattice": "WASMCLOUD_LATTICE", "timeout-ms": "WASMCLOUD_CTL_TIMEOUT_MS", "api-prefix": "WADM_API_PREFIX",
	} {
		flag := f.Lookup(name)
		flag.Usage += " [" + v + "]"
		flag.Annotations = map[string][]string{variable: {v}}
	}
	// Flags of wash that are known but not offered: --js-domain is --jetstream-domain for
	// those who have it; 'app' asks servers and not JetStream, so scripts may keep it
	// there. --context is refused with a reason by configure.
	for _, name := range []string{"context", "js-domain"} {
		f.Lookup(name).Hidden = true
	}
}

// configure reads what flags left open from the variables, and checks it all.
func (p *program) configure(cmd *cobra.Command) error {
	c := &p.conn
	flags := cmd.Flags()
	p.out.json = c.format == "json"
	if c.format != "text" && c.format != "json" {
		return usagef("unknown output format %q: text or json", c.format)
	}
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		v := f.Annotations[variable]
		if f.Changed || len(v) == 0 || err != nil {
			return
		}
		value := p.env[v[0]]
		if value == "" {
			return
		}
		if serr := f.Value.Set(value); serr != nil {
			err = usagef("variable %s: %s", v[0], serr.Error())
		}
	})
	if err != nil {
		return err
	}
	// A context of wash names server and credentials. Without reading it, or with the
	// nats tool's context of the same name, a script would deploy somewhere else.
	if name, _ := flags.GetString("context"); name != "" {
		return &failure{
			code: exitUsage, what: fmt.Sprintf("--context %s: contexts of wash are not read", name),
			hint: "say where to connect with --ctl-host, --ctl-port and --ctl-credsfile, or with a context of the nats tool by --nats-context",
		}
	}
	if c.timeoutMS > 0 && !flags.Changed("timeout") {
		c.timeout = duration(time.Duration(c.timeoutMS) * time.Millisecond)
	}
	switch {
	case c.timeout <= 0:
		return usagef("--timeout must be above zero")
	case c.port < 1 || c.port > 65535:
		return usagef("--ctl-port %d is no port", c.port)
	}
	if _, err := tenancy.ParseLattice(c.lattice); err != nil {
		return usagef("--lattice: %s", err.Error())
	}
	return nil
}

// address is the server asked for.
func (c *connection) address() string {
	if c.server != "" {
		return c.server
	}
	return net.JoinHostPort(c.host, strconv.Itoa(c.port))
}

// connect opens the connection. It is closed at the end of the program.
func (p *program) connect(ctx context.Context) (*nats.Conn, error) {
	c := &p.conn
	limit := min(connectTimeout, time.Duration(c.timeout))
	opts := []nats.Option{nats.ErrorHandler(p.denied)}
	if c.tlsFirst {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	if c.context != "" {
		nc, err := connectByContext(c.context, append(opts, nats.Timeout(limit)))
		if err != nil {
			return nil, failed(fmt.Sprintf("cannot connect by NATS context %q", c.context), err)
		}
		p.closers = append(p.closers, nc.Close)
		return nc, nil
	}
	nc, err := natsconn.Connect(ctx, natsconn.Config{
		Server: c.address(), Seed: c.seed, JWT: c.jwt, CredsFile: c.creds, TLSCAFile: c.ca,
		Name: "wadmctl", StartTimeout: limit, Options: opts,
	}, nil)
	if err != nil {
		return nil, failed("cannot connect to NATS at "+redacted(c.address()), err)
	}
	p.closers = append(p.closers, nc.Close)
	return nc.Conn, nil
}

// connectByContext connects as the nats tool does.
func connectByContext(name string, opts []nats.Option) (*nats.Conn, error) {
	opts = append(opts, nats.Name("wadmctl"), nats.MaxReconnects(-1), func(o *nats.Options) error {
		// A context may leave the server to the default.
		if len(o.Servers) == 1 && o.Servers[0] == "" {
			o.Servers, o.Url = nil, nats.DefaultURL
		}
		return nil
	})
	nc, _, err := natscontext.Connect(name, opts...)
	if err == nil {
		return nc, nil
	}
	if _, isDial := errors.AsType[net.Error](err); isDial || errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) {
		return nil, fmt.Errorf("%w: %w", natsconn.ErrUnreachable, err)
	}
	if errors.Is(err, nats.ErrAuthorization) {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", natsconn.ErrConfig, err)
}

// denied notes that the NATS server refused a subject. It tells so beside the
// request, which then is never answered.
func (p *program) denied(_ *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		p.denial.CompareAndSwap(nil, &err)
	}
}

// refused says of a request without answer that it was not let through, if so.
func (p *program) refused(err error) error {
	f, ok := errors.AsType[*failure](err)
	denial := p.denial.Load()
	if !ok || denial == nil || f.code != exitUnreachable {
		return err
	}
	return failed(f.what, *denial)
}

// redacted hides a password in an address.
func redacted(server string) string {
	if i := strings.LastIndex(server, "@"); i >= 0 {
		return server[i+1:]
	}
	return server
}

// client opens a connection and makes the client for the lattice.
func (p *program) client(ctx context.Context) (*api.Client, error) {
	nc, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(nc, api.ClientConfig{
		Prefix: p.conn.prefix, Lattice: tenancy.Lattice(p.conn.lattice), Timeout: time.Duration(p.conn.timeout),
	})
	if err != nil {
		return nil, failed("cannot make a client", err)
	}
	return client, nil
}

// duration is a flag value: 70 (seconds), 70s, 1m30s.
type duration time.Duration

// Set reads a number of seconds or a duration with unit.
func (d *duration) Set(s string) error {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		*d = duration(time.Duration(n) * time.Second)
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is no duration such as 70, 70s or 1m30s", s)
	}
	*d = duration(v)
	return nil
}

func (d *duration) String() string { return time.Duration(*d).String() }

// Type is shown in the help.
func (d *duration) Type() string { return "duration" }
