package natsconn_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"wadm/config/natsconn"
	"wadm/config/natsconn/embedded"
	"wadm/config/natsconn/natstest"
)

func connect(t *testing.T, cfg natsconn.Config) *natsconn.Conn {
	t.Helper()
	nc, err := natsconn.Connect(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// refused asserts that cfg does not get in, and returns why.
func refused(t *testing.T, cfg natsconn.Config, want error) error {
	t.Helper()
	cfg.StartTimeout = 100 * time.Millisecond
	nc, err := natsconn.Connect(t.Context(), cfg, nil)
	if err == nil {
		nc.Close()
		t.Fatalf("connected with %+v", cfg)
	}
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	return err
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func hostPort(s *natstest.Server) string { return strings.TrimPrefix(s.URL(), "nats://") }

func TestServerWithoutSchemeAndJetStreamInDomain(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithDomain("hub"))
	nc := connect(t, natsconn.Config{Server: hostPort(s), Domain: "hub", Name: "me", InboxPrefix: "_MINE"})
	if info, err := nc.JetStream().AccountInfo(t.Context()); err != nil || info.Domain != "hub" {
		t.Errorf("account info: %+v, %v", info, err)
	}
	if nc.Opts.Name != "me" || !strings.HasPrefix(nc.NewInbox(), "_MINE.") {
		t.Errorf("name %q, inbox %q", nc.Opts.Name, nc.NewInbox())
	}
	if err := nc.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUserAndPasswordInTheURL(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithoutJetStream(), natstest.WithConfig(`authorization { user: joe, password: secret }`))
	connect(t, natsconn.Config{Server: "joe:secret@" + hostPort(s)})
	err := refused(t, natsconn.Config{Server: "joe:wrongpass@" + hostPort(s)}, natsconn.ErrUnreachable)
	if !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "wrongpass") {
		t.Errorf("got %v", err)
	}
}

func TestSeedAloneIsAnNkey(t *testing.T) {
	t.Parallel()
	kp, seed, public := newUser(t)
	_ = kp
	s := natstest.Start(t, natstest.WithoutJetStream(), natstest.WithConfig(`authorization { users: [{nkey: `+public+`}] }`))
	connect(t, natsconn.Config{Server: s.URL(), Seed: seed})
	connect(t, natsconn.Config{Server: s.URL(), Seed: write(t, "seed", []byte(" "+seed+"\n"))})
	// Other credentials win over those in the URL.
	connect(t, natsconn.Config{Server: "joe:secret@" + hostPort(s), Seed: seed})
}

func newUser(t *testing.T) (kp nkeys.KeyPair, seed, public string) {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	b, err := kp.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err = kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return kp, string(b), public
}

// operatorServer runs a server that trusts an operator, and returns the JWT
// and seed of a user.
func operatorServer(t *testing.T) (s *natstest.Server, userJWT, seed string) {
	t.Helper()
	must := func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	operator, _ := nkeys.CreateOperator()
	account, _ := nkeys.CreateAccount()
	operatorID, accountID := must(operator.PublicKey()), must(account.PublicKey())
	operatorJWT := must(jwt.NewOperatorClaims(operatorID).Encode(operator))
	accountJWT := must(jwt.NewAccountClaims(accountID).Encode(operator))
	_, seed, userID := newUser(t)
	userJWT = must(jwt.NewUserClaims(userID).Encode(account))
	s = natstest.Start(t, natstest.WithoutJetStream(), natstest.WithConfig(
		"operator: "+operatorJWT+"\nresolver: MEMORY\nresolver_preload: { "+accountID+": "+accountJWT+" }\n"))
	return s, userJWT, seed
}

func TestJWTSeedAndCredentialsAsLiteralOrFile(t *testing.T) {
	t.Parallel()
	s, userJWT, seed := operatorServer(t)
	jwtFile, seedFile := write(t, "jwt", []byte(userJWT+"\n")), write(t, "seed", []byte(seed+"\n"))
	creds, err := jwt.FormatUserConfig(userJWT, []byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]natsconn.Config{
		"literals": {JWT: userJWT, Seed: seed},
		"files":    {JWT: jwtFile, Seed: seedFile},
		"mixed":    {JWT: userJWT, Seed: seedFile},
		"creds":    {CredsFile: write(t, "creds", creds)},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Server = s.URL()
			connect(t, cfg)
		})
	}
	_ = refused(t, natsconn.Config{Server: s.URL()}, nats.ErrAuthorization)
}

func TestUnusableSettingsAreToldAtOnceAndWithoutSecrets(t *testing.T) {
	t.Parallel()
	_, seed, _ := newUser(t)
	for name, cfg := range map[string]natsconn.Config{
		"JWT without seed":   {JWT: "eyJ.a.b"},
		"creds and seed":     {CredsFile: "x", Seed: seed},
		"creds missing":      {CredsFile: "/does/not/exist"},
		"creds malformed":    {CredsFile: write(t, "creds", []byte("hello"))},
		"seed truncated":     {Seed: seed[:57]},
		"seed damaged":       {Seed: seed[:57] + "!"},
		"seed file empty":    {Seed: write(t, "seed", nil)},
		"JWT file missing":   {Seed: seed, JWT: "/does/not/exist"},
		"CA file missing":    {TLSCAFile: "/does/not/exist"},
		"CA file is no cert": {TLSCAFile: write(t, "ca.pem", []byte("hello"))},
		"server without one": {Server: "a,,b"},
		"server malformed":   {Server: "nats://joe:" + seed + "@[::1"},
		"server no host":     {Server: "nats://joe:" + seed + "@"},
		"ping too often":     {PingInterval: time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			cfg.StartTimeout = time.Hour
			_, err := natsconn.Connect(t.Context(), cfg, nil)
			if !errors.Is(err, natsconn.ErrConfig) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), seed[:57]) {
				t.Errorf("error shows the secret: %v", err)
			}
			if time.Since(start) > 10*time.Second {
				t.Errorf("took %v", time.Since(start))
			}
		})
	}
}

func TestRootCertificatesRequireTLS(t *testing.T) {
	t.Parallel()
	cert, caPEM := selfSigned(t)
	s := natstest.Start(t, natstest.WithoutJetStream(), natstest.WithOptions(func(o *server.Options) {
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		o.TLSTimeout = 10
	}))
	ca := write(t, "ca.pem", caPEM)
	nc := connect(t, natsconn.Config{Server: hostPort(s), TLSCAFile: ca})
	if _, err := nc.TLSConnectionState(); err != nil {
		t.Errorf("connection is not encrypted: %v", err)
	}
	_ = refused(t, natsconn.Config{Server: hostPort(s)}, natsconn.ErrUnreachable)
	plain := natstest.Start(t, natstest.WithoutJetStream())
	_ = refused(t, natsconn.Config{Server: hostPort(plain), TLSCAFile: ca}, nats.ErrSecureConnWanted)
}

func selfSigned(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestStartWaitsForAServerThatComesLate(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithoutJetStream())
	url := s.URL()
	s.Stop()
	var log lockedBuffer
	done := make(chan error, 1)
	go func() {
		nc, err := natsconn.Connect(t.Context(), natsconn.Config{Server: url, StartTimeout: time.Minute}, slog.New(slog.NewTextHandler(&log, nil)))
		if err == nil {
			nc.Close()
		}
		done <- err
	}()
	// Not before it was refused once.
	waitFor(t, func() bool { return strings.Contains(log.String(), "cannot connect to NATS yet") })
	s.StartAgain(t)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "cannot connect to NATS yet"); n > 3 {
		t.Errorf("said %d times that it cannot connect", n)
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	why := errors.New("stop it")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	_, err := natsconn.Connect(ctx, natsconn.Config{Server: "127.0.0.1:1", StartTimeout: time.Hour}, nil)
	if !errors.Is(err, why) {
		t.Fatalf("got %v", err)
	}
}

func TestRestartIsLoggedShownAndSurvived(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithoutJetStream())
	var log lockedBuffer
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Server: s.URL(), Name: "commands"}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s.Stop()
	waitFor(t, func() bool { return nc.Check(t.Context()) != nil })
	s.StartAgain(t)
	waitFor(t, func() bool { return nc.Check(t.Context()) == nil })
	waitFor(t, func() bool {
		return strings.Contains(log.String(), "lost connection to NATS") && strings.Contains(log.String(), "reconnected to NATS")
	})
}

func TestNothingLeavesLateWithoutBuffer(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithoutJetStream())
	buffered := connect(t, natsconn.Config{Server: s.URL()})
	commands := connect(t, natsconn.Config{Server: s.URL(), NoBuffer: true})
	s.Stop()
	waitFor(t, func() bool { return !buffered.IsConnected() && !commands.IsConnected() })
	if err := buffered.Publish("x", []byte("late")); err != nil {
		t.Errorf("buffered connection: %v", err)
	}
	if err := commands.Publish("x", []byte("late")); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("command connection: got %v", err)
	}
}

func TestAsynchronousErrorsAreLogged(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithoutJetStream(), natstest.WithConfig(
		`authorization { users: [{user: a, password: a, permissions: {subscribe: "allowed"}}] }`))
	var log lockedBuffer
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Server: "a:a@" + hostPort(s)}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.SubscribeSync("forbidden"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return strings.Contains(log.String(), "Permissions Violation") })
}

func TestInProcessConnection(t *testing.T) {
	t.Parallel()
	srv, err := embedded.Start(embedded.Config{StoreDir: t.TempDir(), InProcessOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Stop()
	nc := connect(t, natsconn.Config{InProcess: srv.NATS()})
	if _, err := nc.JetStream().AccountInfo(t.Context()); err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("did not happen in 20 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// lockedBuffer lets a test read a log while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
