package natsconn

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// options turns c into what the client understands, and the list of servers.
func (c Config) options(log *slog.Logger) ([]nats.Option, string, error) {
	opts := []nats.Option{
		nats.Name(c.Name),
		nats.Timeout(dialTimeout),
		nats.PingInterval(c.PingInterval),
		nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		// By default the client gives up for good when it is refused twice,
		// which an account server that restarts can cause.
		nats.IgnoreAuthErrorAbort(),
		nats.CustomInboxPrefix(c.InboxPrefix),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if nc.IsClosed() {
				return
			}
			log.Warn("lost connection to NATS", "connection", c.Name, "error", err)
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("reconnected to NATS", "connection", c.Name, "url", nc.ConnectedUrlRedacted(), "server", nc.ConnectedServerName())
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			log.Debug("cannot reconnect to NATS yet", "connection", c.Name, "error", err)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Error("NATS reports an error", "connection", c.Name, "subject", subject, "error", err)
		}),
		nats.LameDuckModeHandler(func(nc *nats.Conn) {
			log.Info("NATS server is shutting down, moving on", "connection", c.Name, "server", nc.ConnectedServerName())
		}),
	}
	if c.NoBuffer {
		opts = append(opts, nats.ReconnectBufSize(-1))
	}
	if c.TLSCAFile != "" {
		if _, err := os.Stat(c.TLSCAFile); err != nil {
			return nil, "", fmt.Errorf("read root certificates: %w", err)
		}
		opts = append(opts, nats.RootCAs(c.TLSCAFile))
	}
	if c.InProcess != nil {
		opts = append(opts, nats.InProcessServer(c.InProcess))
	}
	auth, err := c.credentials()
	if err != nil {
		return nil, "", err
	}
	if auth != nil {
		opts = append(opts, auth)
	}
	urls, err := serverList(c.Server, auth != nil)
	if err != nil {
		return nil, "", err
	}
	opts = append(opts, c.Options...)
	// Options check themselves only inside Connect, where a mistake in them
	// could not be told from an unreachable server.
	probe := nats.GetDefaultOptions()
	for _, opt := range opts {
		if err := opt(&probe); err != nil {
			return nil, "", err
		}
	}
	return opts, urls, nil
}

// serverList checks the servers and, when other credentials are given, takes
// user and password out of them: the server would refuse both at once.
func serverList(servers string, stripUser bool) (string, error) {
	var out []string
	for s := range strings.SplitSeq(servers, ",") {
		s = strings.TrimSpace(s)
		if s == "" {
			return "", errors.New("empty server address")
		}
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		u, err := url.Parse(s)
		if err != nil {
			// The text of the error would repeat a password.
			return "", errors.New("server address is not a valid URL")
		}
		if u.Host == "" {
			return "", fmt.Errorf("server address %s has no host", u.Redacted())
		}
		if stripUser {
			u.User = nil
		}
		out = append(out, u.String())
	}
	return strings.Join(out, ","), nil
}

// credentials is the option that authenticates, or nil for none.
func (c Config) credentials() (nats.Option, error) {
	switch {
	case c.CredsFile != "":
		data, err := os.ReadFile(c.CredsFile)
		if err != nil {
			return nil, fmt.Errorf("read credentials: %w", err)
		}
		if _, err := nkeys.ParseDecoratedJWT(data); err != nil {
			return nil, fmt.Errorf("read credentials in %s: %w", c.CredsFile, err)
		}
		if _, err := nkeys.ParseDecoratedNKey(data); err != nil {
			return nil, fmt.Errorf("read credentials in %s: %w", c.CredsFile, err)
		}
		return nats.UserCredentials(c.CredsFile), nil
	case c.Seed == "":
		return nil, nil
	}
	seed, err := literalOrFile(c.Seed, isSeed)
	if err != nil {
		return nil, fmt.Errorf("read seed: %w", err)
	}
	kp, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return nil, fmt.Errorf("read seed: %w", err)
	}
	if c.JWT == "" {
		public, err := kp.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("read seed: %w", err)
		}
		return nats.Nkey(public, kp.Sign), nil
	}
	jwt := func() (string, error) {
		return literalOrFile(c.JWT, isJWT)
	}
	if _, err := jwt(); err != nil {
		return nil, fmt.Errorf("read JWT: %w", err)
	}
	return nats.UserJWT(jwt, kp.Sign), nil
}

// literalOrFile returns s itself when it is the thing, else what the file s
// holds, without surrounding blanks.
func literalOrFile(s string, is func(string) bool) (string, error) {
	if s = strings.TrimSpace(s); is(s) {
		return s, nil
	}
	data, err := os.ReadFile(s)
	if err != nil {
		// The path is left out: it may be a mistyped secret.
		if pathErr, ok := errors.AsType[*os.PathError](err); ok {
			err = pathErr.Err
		}
		return "", fmt.Errorf("neither the literal nor a readable file: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if !is(text) {
		return "", fmt.Errorf("file %s does not hold it", s)
	}
	return text, nil
}

func isSeed(s string) bool { return len(s) == 58 && strings.HasPrefix(s, "S") }

// isJWT recognises the three parts of a JWT; a path has no two dots between
// parts this long, and its first part does not decode to an object.
func isJWT(s string) bool {
	return strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2 && !strings.ContainsAny(s, "/\\ \n")
}
