// Variables of the environment that look like settings but are not.
#ifndef GHATRACE_APP_ENVIRONMENT_H
#define GHATRACE_APP_ENVIRONMENT_H

#include <stdbool.h>

// Variables that an orchestrator adds to every process near a service, named after the service. A service called
// `ghatrace`, or `ghatrace-admin`, yields names that look like our settings but are not. Pure.

// True if `entry` ("NAME=value") of `environment` is one of these: name and value must both have the form:
//
// Kubernetes (kubelet, pkg/kubelet/envvars), for services in the pod's namespace, upper case, '-' as '_':
//   X_SERVICE_HOST=IP   X_SERVICE_PORT=NUMBER   X_SERVICE_PORT_{PORT NAME}=NUMBER
//   X_PORT=tcp://IP:NUMBER   X_PORT_{n}_{TCP|UDP|SCTP}=tcp://IP:n   and to the latter _PROTO, _PORT, _ADDR
// Docker's links ("legacy container links"): the last two, and
//   X_PORT_{n}_{TCP|UDP|SCTP}_START, _END, _PORT_START, _PORT_END for ranges of ports
//   X_NAME=/{container}/{x}   X_ENV_{any name}=..., where X_NAME is there, too
//
// where X is GHATRACE or begins with GHATRACE_. So `GHATRACE_PORT=8080`, which was meant as a setting, is not.
bool variable_is_injected(const char *entry, char *const *environment);

#endif
