package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wadm/tenancy"
	"wadm/tenancy/catalog"
	"wadm/tenancy/manifest"
)

// readPut reads and checks the manifest of a put. It returns the application's
// name and the rest of the work, or the reply that refuses it.
func (s *Server) readPut(ctx context.Context, r *request) (app string, next func() any, refusal any) {
	no := func(format string, args ...any) (string, func() any, any) {
		return "", nil, refuse(opPut, fmt.Sprintf(format, args...))
	}
	if len(r.msg.Data) > s.cfg.MaxManifest {
		return no("Unable to parse manifest: it takes %d bytes, the most is %d", len(r.msg.Data), s.cfg.MaxManifest)
	}
	var contentType string
	values, present := r.msg.Header["Content-Type"]
	if len(values) > 0 {
		contentType = values[0]
	}
	m, err := manifest.Parse(r.msg.Data, contentType, present, s.cfg.Budget)
	if err != nil {
		return no("Unable to parse manifest: %s", err)
	}
	if err := manifest.CheckVersion(m); err != nil {
		return no("%s", err)
	}
	name := strings.TrimSpace(m.Metadata.Name)
	if err := manifest.CheckName(name); err != nil {
		return no("%s", err)
	}
	if r.key, err = r.target.key(); err != nil {
		return no("%s", err)
	}
	if f, bad := manifest.FirstError(m.Validate()); bad {
		return no("%s", f.Message)
	}
	// What only the name's length can still be.
	if _, err := tenancy.ParseApp(name); err != nil {
		return no("%s", err)
	}
	return name, func() any { return s.put(ctx, r, m) }, nil
}

// put stores a checked manifest.
func (s *Server) put(ctx context.Context, r *request, m *manifest.Manifest) any {
	if err := s.deps.Register(ctx, r.key); err != nil {
		s.logFailure(ctx, r, fmt.Errorf("register lattice: %w", err))
		return refuse(r.op, storageError)
	}
	stored, err := s.cat.Put(ctx, r.key, m, r.by)
	switch {
	case errors.Is(err, catalog.ErrVersionExists):
		v, _ := m.Version()
		return refuse(r.op, fmt.Sprintf("Manifest version %s already exists", v))
	case errors.Is(err, catalog.ErrTooLarge):
		return refuse(r.op, fmt.Sprintf("Unable to store manifest: %s", err))
	case err != nil:
		s.logFailure(ctx, r, err)
		return refuse(r.op, storageError)
	}
	reply := putReply{resultNewVersion, stored.Total, stored.Version, fmt.Sprintf("Successfully put manifest %s %s", r.app, stored.Version), r.app}
	if stored.Total == 1 {
		reply.Result = resultCreated
		s.forgetStatus(ctx, r.key, r.app)
	}
	if advice := m.Advice(); len(advice) > 0 {
		// The wire has no place for it.
		s.log.Info("a stored manifest is valid but odd", "tenant", r.key.Tenant, "lattice", r.key.Lattice, "application", r.app,
			"version", stored.Version, "advice", advice)
	}
	missing, err := s.missingShared(ctx, r, m)
	if err != nil {
		// The manifest is stored; only a hint is lost.
		s.log.Warn("looking for shared components failed", "tenant", r.key.Tenant, "lattice", r.key.Lattice, "application", r.app, "error", err)
	} else if len(missing) > 0 {
		reply.Message += ", but some shared components are not deployed: " + quoteList(missing)
	}
	return reply
}

// missingShared names the components of m that refer to a component of another
// application which is not deployed, or not shared.
func (s *Server) missingShared(ctx context.Context, r *request, m *manifest.Manifest) ([]string, error) {
	if !slices.ContainsFunc(m.Spec.Components, refers) {
		return nil, nil
	}
	deployed, err := s.cat.Deployed(ctx, r.key)
	if err != nil {
		return nil, err
	}
	return unsatisfied(m, deployed), nil
}

// refers tells whether a component stands for one of another application.
func refers(c manifest.Component) bool {
	return c.Properties.Application != nil && c.Properties.Image == nil
}

// unsatisfied names the references of m for which there is no component of that
// name and type in a deployed manifest that is shared.
func unsatisfied(m *manifest.Manifest, deployed map[string]*manifest.Manifest) []string {
	var missing []string
	for _, c := range m.Spec.Components {
		if !refers(c) {
			continue
		}
		other := deployed[c.Properties.Application.Name]
		if other != nil && other.Shared() && slices.ContainsFunc(other.Spec.Components, func(o manifest.Component) bool {
			return o.Name == c.Properties.Application.Component && o.Type == c.Type
		}) {
			continue
		}
		missing = append(missing, c.Name)
	}
	return missing
}

// mayDeploy refuses a manifest that collides with what other applications have
// deployed, or needs something they have not.
func (s *Server) mayDeploy(ctx context.Context, r *request, m *manifest.Manifest) error {
	explicit := slices.ContainsFunc(m.Spec.Components, func(c manifest.Component) bool { return c.Properties.ID != nil })
	if !explicit && !slices.ContainsFunc(m.Spec.Components, refers) {
		return nil
	}
	deployed, err := s.cat.Deployed(ctx, r.key)
	if err != nil {
		return err
	}
	owner := map[string]string{}
	for _, app := range slices.Backward(slices.Sorted(maps.Keys(deployed))) {
		if app == r.app || deployed[app] == nil {
			continue
		}
		for _, c := range deployed[app].Spec.Components {
			// Who refers to a shared component may repeat its id and owns nothing.
			if c.Properties.ID != nil && !refers(c) {
				owner[*c.Properties.ID] = app
			}
		}
	}
	for _, c := range m.Spec.Components {
		if c.Properties.ID == nil || refers(c) {
			continue
		}
		if other, taken := owner[*c.Properties.ID]; taken {
			return refusal(fmt.Sprintf("Component identifier '%s' is already deployed in a different application '%s'.", *c.Properties.ID, other))
		}
	}
	if missing := unsatisfied(m, deployed); len(missing) > 0 {
		return refusal("Application contains shared components that are not deployed in other applications: " + quoteList(missing))
	}
	return nil
}
