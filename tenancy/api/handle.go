package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"wadm/tenancy"
	"wadm/tenancy/catalog"
	"wadm/tenancy/manifest"
)

// handle carries out every request but put and returns its reply.
func (s *Server) handle(ctx context.Context, r *request) any {
	if r.op == opHistory {
		return refuse(r.op, "Model deployment history is not currently supported. It may be added in a future version")
	}
	if r.op == opExplain && s.deps.Explain == nil {
		return refuse(r.op, "Unsupported subject: "+r.msg.Subject)
	}
	var err error
	r.key, err = r.target.key()
	if err != nil {
		return s.nowhere(r)
	}
	switch r.op {
	case opList, opListBare:
		return s.list(ctx, r)
	case opGet:
		return s.get(ctx, r)
	case opVersions:
		return s.versions(ctx, r)
	case opDeploy:
		return s.deploy(ctx, r)
	case opUndeploy:
		return s.undeploy(ctx, r)
	case opDelete:
		return s.delete(ctx, r)
	case opStatus:
		return s.statusOf(ctx, r)
	case opExplain:
		return s.explain(ctx, r)
	default:
		return refuse(r.op, "Unsupported subject: "+r.msg.Subject)
	}
}

// nowhere answers for a lattice that cannot exist here.
func (s *Server) nowhere(r *request) any {
	if !storable(r.lattice) || !storable(r.tenant) {
		if r.op == opStatus {
			return statusReply{resultOK, "Successfully fetched status for application " + r.app, undeployed()}
		}
		return s.storageFailure(r)
	}
	switch r.op {
	case opList:
		return listReply{resultSuccess, listed, []ModelSummary{}}
	case opListBare:
		return []ModelSummary{}
	default:
		return s.unknown(r)
	}
}

const listed = "Successfully fetched list of applications"

// unknown answers for an application that does not exist.
func (s *Server) unknown(r *request) any {
	switch r.op {
	case opGet:
		return getReply{Result: resultNotFound, Message: notFound(r.app)}
	case opExplain:
		return explainReply{Result: resultNotFound, Message: notFound(r.app)}
	case opVersions:
		return versionsReply{resultNotFound, notFound(r.app), []VersionInfo{}}
	case opDeploy, opUndeploy:
		return deployReply{Result: resultNotFound, Message: notFound(r.app), Name: r.app}
	case opDelete:
		return deleteReply{resultNoop, fmt.Sprintf("Application %s doesn't exist or was already deleted", r.app), false}
	default:
		return statusReply{resultOK, "Successfully fetched status for application " + r.app, undeployed()}
	}
}

func notFound(app string) string { return fmt.Sprintf("Application with the name %s not found", app) }

func undeployed() *tenancy.Status {
	return &tenancy.Status{Status: tenancy.StatusInfo{Type: tenancy.StatusUndeployed}, Components: []struct{}{}}
}

// storageFailure answers for a storage that did not do what it should before
// anything was decided.
func (s *Server) storageFailure(r *request) any {
	if r.op == opDelete {
		return deleteReply{resultError, "Internal storage error while fetching manifest data for application " + r.app, false}
	}
	return refuse(r.op, storageError)
}

// failed logs an error of the catalog and answers for it.
func (s *Server) failed(ctx context.Context, r *request, err error) any {
	if errors.Is(err, tenancy.ErrBadName) && storable(r.app) {
		return s.unknown(r)
	}
	s.logFailure(ctx, r, err)
	return s.storageFailure(r)
}

func (s *Server) logFailure(ctx context.Context, r *request, err error) {
	attrs := []any{"tenant", r.key.Tenant, "lattice", r.key.Lattice, "operation", string(r.op), "application", clip(r.app), "error", err}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		attrs = append(attrs, "trace_id", sc.TraceID().String())
	}
	s.log.Error("an API request failed", attrs...)
}

func (s *Server) get(ctx context.Context, r *request) any {
	version, err := decodeVersion(r.msg.Data, "GetModelRequest")
	if err != nil {
		return refuse(r.op, "Unable to parse get application request: "+err.Error())
	}
	data, err := s.cat.Manifest(ctx, r.key, r.app, version)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return s.unknown(r)
	case errors.Is(err, catalog.ErrNoVersion) && version != nil:
		return getReply{Result: resultNotFound, Message: fmt.Sprintf("Application %s with version %s doesn't exist", r.app, *version)}
	case err != nil:
		return s.failed(ctx, r, err)
	}
	message := "Successfully fetched application " + r.app
	if version != nil {
		message += " " + *version
	}
	return getReply{resultSuccess, message, data}
}

func (s *Server) versions(ctx context.Context, r *request) any {
	app, err := s.cat.Application(ctx, r.key, r.app)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return s.unknown(r)
	case err != nil:
		return s.failed(ctx, r, err)
	}
	reply := versionsReply{resultSuccess, "Successfully fetched versions for application " + r.app, []VersionInfo{}}
	for _, v := range app.Versions {
		reply.Versions = append(reply.Versions, VersionInfo{v.Version, app.Deployed != nil && *app.Deployed == v.Version})
	}
	return reply
}

// statusReads bounds the statuses that one list reads at once.
const statusReads = 16

func (s *Server) list(ctx context.Context, r *request) any {
	apps, err := s.cat.List(ctx, r.key)
	if err != nil {
		return s.failed(ctx, r, err)
	}
	models := make([]ModelSummary, len(apps))
	var g errgroup.Group
	g.SetLimit(statusReads)
	for i, a := range apps {
		g.Go(func() error {
			status := s.readStatus(ctx, r.key, a.Name)
			if status == nil {
				status = &tenancy.Status{
					Status: tenancy.StatusInfo{
						Type:    tenancy.StatusWaiting,
						Message: "Waiting for status: Lattice contains no hosts, deployment not started.",
					},
					Components: []struct{}{},
				}
			}
			m := ModelSummary{
				Name: a.Name, Version: a.Version, Description: a.Description, DeployedVersion: a.Deployed,
				DetailedStatus: *status, Status: status.Status.Type, StatusMessage: status.Status.Message,
			}
			if m.Status == tenancy.StatusWaiting {
				m.Status = tenancy.StatusUndeployed
			}
			models[i] = m
			return nil
		})
	}
	_ = g.Wait() // its jobs return nil
	if r.op == opListBare {
		return models
	}
	return listReply{resultSuccess, listed, models}
}

func (s *Server) statusOf(ctx context.Context, r *request) any {
	reply := statusReply{resultOK, "Successfully fetched status for application " + r.app, undeployed()}
	if _, err := tenancy.ParseApp(r.app); err != nil {
		return reply
	}
	if status := s.readStatus(ctx, r.key, r.app); status != nil {
		reply.Status = status
	}
	return reply
}

// The owner of a lattice has little time to answer, because other requests about
// the application wait meanwhile, and less about one that may not exist at all.
const (
	explainTimeout = 2 * time.Second
	leftTimeout    = 500 * time.Millisecond
)

// explain asks the owner of the lattice. The catalog says whether the application
// exists: the owner may not have heard of it yet. One that was deleted is explained
// until nothing of it is left.
func (s *Server) explain(ctx context.Context, r *request) any {
	limit := explainTimeout
	_, err := s.cat.Application(ctx, r.key, r.app)
	unknown := errors.Is(err, catalog.ErrNotFound)
	if unknown {
		limit = leftTimeout
	} else if err != nil {
		return s.failed(ctx, r, err)
	}
	ask, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	explanation, err := s.deps.Explain(ask, r.key, r.app)
	if unknown && (err != nil || !leaves(explanation)) {
		return s.unknown(r)
	}
	switch {
	case errors.Is(err, ErrNoOwner):
		return refuse(r.op, noOwner)
	case err != nil:
		s.logFailure(ctx, r, err)
		return refuse(r.op, "Internal error, the request was not completed")
	}
	return explainReply{resultSuccess, "Successfully explained application " + r.app, explanation}
}

// leaves tells whether an explanation lists something that is left.
func leaves(explanation json.RawMessage) bool {
	var x struct {
		Left []json.RawMessage `json:"left"`
	}
	return json.Unmarshal(explanation, &x) == nil && len(x.Left) > 0
}

func (s *Server) delete(ctx context.Context, r *request) any {
	version, err := decodeVersion(r.msg.Data, "DeleteModelRequest")
	if err != nil {
		return refuse(r.op, "Unable to parse delete application request: "+err.Error())
	}
	deleted, err := s.cat.Delete(ctx, r.key, r.app, version, r.by)
	var reply deleteReply
	// announce: afterwards nothing of the application is deployed, whoever did it. It
	// repeats an announcement that an earlier try may not have made.
	announce, existed := false, true
	switch {
	case errors.Is(err, tenancy.ErrBadName):
		return s.failed(ctx, r, err)
	case errors.Is(err, catalog.ErrNotFound):
		reply, announce, existed = s.unknown(r).(deleteReply), true, false
	case errors.Is(err, catalog.ErrNoVersion):
		reply = deleteReply{resultNoop, fmt.Sprintf("Application version %s doesn't exist", *version), false}
		app, err := s.cat.Application(ctx, r.key, r.app)
		announce = errors.Is(err, catalog.ErrNotFound) || err == nil && app.Deployed == nil
	case errors.Is(err, catalog.ErrUndecodable):
		return s.failed(ctx, r, err)
	case err != nil && version == nil:
		s.logFailure(ctx, r, err)
		return deleteReply{resultError, "Internal storage error when deleting application " + r.app, false}
	case err != nil:
		s.logFailure(ctx, r, err)
		return deleteReply{resultError, fmt.Sprintf("Internal storage error when deleting %s of application %s", *version, r.app), false}
	default:
		reply = deleteReply{resultDeleted, "Successfully deleted application " + r.app, deleted.Gone || deleted.Undeployed}
		if version != nil && deleted.Gone {
			reply.Message = "Successfully deleted last version of application " + r.app
		} else if version != nil {
			reply.Message = fmt.Sprintf("Successfully deleted version %s of application %s", *version, r.app)
		}
		announce = reply.Undeploy
		if deleted.Gone {
			s.forgetStatus(ctx, r.key, r.app)
		}
	}
	if announce {
		if err := s.announceUnpublished(ctx, r.key, r.app, existed); err != nil {
			s.logFailure(ctx, r, err)
			return deleteReply{resultError, "Error notifying processors of newly undeployed manifest on delete. This is likely a transient error, so please retry the request. Please note that the response will say it is a noop, but will notify the processors", false}
		}
	}
	return reply
}

func (s *Server) undeploy(ctx context.Context, r *request) any {
	if err := decodeNothing(r.msg.Data, "UndeployModelRequest"); err != nil {
		return refuse(r.op, "Unable to parse undeploy application request: "+err.Error())
	}
	was, err := s.cat.Undeploy(ctx, r.key, r.app, r.by)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return s.unknown(r)
	case errors.Is(err, tenancy.ErrBadName), errors.Is(err, catalog.ErrUndecodable):
		return s.failed(ctx, r, err)
	case err != nil:
		s.logFailure(ctx, r, err)
		return deployReply{Result: resultError, Message: storageError, Name: r.app}
	}
	// Also when nothing was deployed: this is how a lost announcement is repeated.
	if err := s.announceUnpublished(ctx, r.key, r.app, true); err != nil {
		s.logFailure(ctx, r, err)
		return deployReply{Result: resultError, Message: "Error notifying processors of undeployed manifest. This is likely a transient error, so please retry the request", Name: r.app}
	}
	if !was {
		return deployReply{Result: resultAcknowledged, Message: fmt.Sprintf("Application %s was already undeployed", r.app), Name: r.app}
	}
	return deployReply{Result: resultAcknowledged, Message: "Successfully undeployed application " + r.app, Name: r.app}
}

// refusal is a reason not to deploy, in the wire's words.
type refusal string

func (r refusal) Error() string { return string(r) }

func (s *Server) deploy(ctx context.Context, r *request) any {
	version, err := decodeVersion(r.msg.Data, "DeployModelRequest")
	if err != nil {
		return refuse(r.op, "Unable to parse deploy application request: "+err.Error())
	}
	wanted := version
	if version != nil && *version == manifest.VersionLatest {
		wanted = nil
	}
	var chosen *string
	var registered bool
	d, err := s.cat.Deploy(ctx, r.key, r.app, wanted, r.by, func(ctx context.Context, m *manifest.Manifest) error {
		if v, ok := m.Version(); ok {
			chosen = &v
		}
		if err := s.mayDeploy(ctx, r, m); err != nil {
			return err
		}
		if registered {
			return nil
		}
		if err := s.deps.Register(ctx, r.key); err != nil {
			return fmt.Errorf("register lattice: %w", err)
		}
		registered = true
		return nil
	})
	var no refusal
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		reply := s.unknown(r).(deployReply)
		reply.Version = version
		return reply
	case errors.Is(err, catalog.ErrNoVersion) && version != nil:
		return deployReply{
			Result:  resultError,
			Message: fmt.Sprintf("Application with the name '%s' does not have a version '%s' to deploy", r.app, *version),
			Name:    r.app, Version: version,
		}
	case errors.As(err, &no):
		return refuse(r.op, no.Error())
	case err != nil && chosen == nil:
		return s.failed(ctx, r, err)
	case err != nil:
		s.logFailure(ctx, r, err)
		return deployReply{resultError, storageError, r.app, chosen}
	}
	if err := s.announcePublished(ctx, r.key, d.Manifest); err != nil {
		s.logFailure(ctx, r, err)
		return deployReply{resultError, "Error notifying processors of newly deployed manifest. This is likely a transient error, so please retry the request", r.app, &d.Version}
	}
	return deployReply{resultAcknowledged, fmt.Sprintf("Successfully deployed application %s %s", r.app, d.Version), r.app, &d.Version}
}
