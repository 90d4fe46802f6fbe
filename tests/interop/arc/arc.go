package main

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// The message of a scale set about a job that ended, by its names there. Absent times are zero.
type jobCompleted struct {
	JobID              string
	WorkflowRunID      int64
	JobDisplayName     string
	OwnerName          string
	RepositoryName     string
	JobWorkflowRef     string
	EventName          string
	RunnerID           int
	RunnerName         string
	Result             string
	QueueTime          time.Time
	ScaleSetAssignTime time.Time
	RunnerAssignTime   time.Time
	FinishTime         time.Time
}

// The proposal has two revisions, which differ in IDs and attributes. No message has the attempt: it is 1 in both.
type recorder interface {
	traceID(job *jobCompleted) trace.TraceID
	jobSpanID(job *jobCompleted) trace.SpanID
	phaseSpanID(phase string, jobSpan trace.SpanID) trace.SpanID
	attributes(job *jobCompleted, phase string) []attribute.KeyValue
	resource() *resource.Resource
}

type outcome struct {
	Seconds float64
	Error   string
}

func runArc(ctx context.Context, exporter *otlptrace.Exporter) (any, error) {
	var input struct {
		Revision int
		Server   string // of the second revision
		Jobs     []jobCompleted
	}
	if err := readInput(&input); err != nil {
		return nil, err
	}
	recorders := map[int]recorder{1: first{}, 2: second{input.Server}}
	recorder := recorders[input.Revision]
	if recorder == nil {
		return nil, fmt.Errorf("there is no revision %d", input.Revision)
	}
	outcomes := []outcome{}
	for _, job := range input.Jobs {
		outcomes = append(outcomes, export(ctx, exporter, phasesOf(recorder, &job)))
	}
	return outcomes, exporter.Shutdown(ctx)
}

// The recorder sends each job's spans in a request of its own, and gives it five seconds.
func export(ctx context.Context, exporter *otlptrace.Exporter, spans tracetest.SpanStubs) outcome {
	if len(spans) == 0 {
		return outcome{}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	begin := time.Now()
	err := exporter.ExportSpans(ctx, spans.Snapshots())
	said := outcome{Seconds: time.Since(begin).Seconds()}
	if err != nil {
		said.Error = err.Error()
	}
	return said
}

// Up to three spans: one that lacks a time is left out.
func phasesOf(recorder recorder, job *jobCompleted) tracetest.SpanStubs {
	sampled := trace.SpanContextConfig{TraceID: recorder.traceID(job), TraceFlags: trace.FlagsSampled}
	parent := sampled
	parent.SpanID = recorder.jobSpanID(job)
	spans := tracetest.SpanStubs{}
	for _, phase := range []struct {
		name       string
		start, end time.Time
	}{
		{"runner.queue", job.QueueTime, job.ScaleSetAssignTime},
		{"runner.startup", job.ScaleSetAssignTime, job.RunnerAssignTime},
		{"runner.execution", job.RunnerAssignTime, job.FinishTime},
	} {
		if phase.start.IsZero() || phase.end.IsZero() {
			continue
		}
		own := sampled
		own.SpanID = recorder.phaseSpanID(phase.name, parent.SpanID)
		spans = append(spans, tracetest.SpanStub{
			Name: phase.name, StartTime: phase.start, EndTime: phase.end,
			SpanContext: trace.NewSpanContext(own), Parent: trace.NewSpanContext(parent),
			Attributes: recorder.attributes(job, phase.name), Resource: recorder.resource(),
			InstrumentationScope: scopeOf(recorder),
		})
	}
	return spans
}

func scopeOf(recorder recorder) instrumentation.Scope {
	if _, is := recorder.(second); is {
		return instrumentation.Scope{Name: "github.com/actions/actions-runner-controller/cmd/ghalistener/metrics"}
	}
	return instrumentation.Scope{}
}

func repositoryOf(job *jobCompleted) string { return job.OwnerName + "/" + job.RepositoryName }

// What the job ended with, as GitHub's webhooks call it, and as the semantic conventions do.
func resultsOf(job *jobCompleted) (conclusion, result string) {
	conclusions := map[string]string{"succeeded": "success", "failed": "failure", "canceled": "cancelled"}
	results := map[string]string{"cancelled": "cancellation", "skipped": "skip", "timed_out": "timeout"}
	conclusion = job.Result
	if known := conclusions[conclusion]; known != "" {
		conclusion = known
	}
	result = conclusion
	if known := results[conclusion]; known != "" {
		result = known
	}
	return conclusion, result
}

// What both revisions say.
func commonAttributes(job *jobCompleted, phase string) []attribute.KeyValue {
	said := []attribute.KeyValue{
		attribute.String("github.repository", repositoryOf(job)),
		attribute.String("github.workflow_ref", job.JobWorkflowRef),
		attribute.String("github.event_name", job.EventName),
		attribute.String("cicd.pipeline.run.id", strconv.FormatInt(job.WorkflowRunID, 10)),
		attribute.String("cicd.pipeline.task.name", job.JobDisplayName),
		attribute.String("cicd.worker.name", job.RunnerName),
		attribute.String("cicd.worker.id", strconv.Itoa(job.RunnerID)),
	}
	if phase == "runner.execution" {
		conclusion, result := resultsOf(job)
		said = append(said, attribute.String("github.conclusion", conclusion),
			attribute.String("cicd.pipeline.task.run.result", result))
	}
	return said
}

// IDs from MD5 and the job's number, which otel-explorer computes too.
type first struct{}

func (first) traceID(job *jobCompleted) trace.TraceID {
	return md5.Sum(fmt.Appendf(nil, "%d-1", job.WorkflowRunID))
}

func (first) jobSpanID(job *jobCompleted) (id trace.SpanID) {
	number, err := strconv.ParseInt(job.JobID, 10, 64)
	if err == nil {
		binary.BigEndian.PutUint64(id[:], uint64(number))
		return id
	}
	sum := md5.Sum([]byte(job.JobID))
	return trace.SpanID(sum[:8])
}

func (first) phaseSpanID(phase string, jobSpan trace.SpanID) trace.SpanID {
	sum := md5.Sum([]byte(phase + "-" + jobSpan.String()))
	return trace.SpanID(sum[:8])
}

func (first) attributes(job *jobCompleted, phase string) []attribute.KeyValue {
	return append(commonAttributes(job, phase),
		attribute.String("type", phase),
		attribute.Int64("github.run_id", job.WorkflowRunID),
		attribute.String("github.job_id", job.JobID),
		attribute.String("github.job_name", job.JobDisplayName),
		attribute.String("github.runner_name", job.RunnerName),
		attribute.Int("github.runner_id", job.RunnerID),
		attribute.String("cicd.pipeline.task.run.id", job.JobID),
		attribute.String("vcs.repository.url.full", "https://github.com/"+repositoryOf(job)))
}

func (first) resource() *resource.Resource { return nil }

// IDs from SHA-256 and the job's name, as the runner's own spans have them; the message's job ID is in none of them.
type second struct{ server string }

func hashed(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func (second) traceID(job *jobCompleted) trace.TraceID {
	return trace.TraceID(hashed(fmt.Sprintf("%d-1", job.WorkflowRunID))[:16])
}

func (second) jobSpanID(job *jobCompleted) trace.SpanID {
	return trace.SpanID(hashed(fmt.Sprintf("job-%d-1-%s", job.WorkflowRunID, job.JobDisplayName))[:8])
}

func (second) phaseSpanID(phase string, jobSpan trace.SpanID) trace.SpanID {
	return trace.SpanID(hashed(phase + "-" + jobSpan.String())[:8])
}

func (r second) attributes(job *jobCompleted, phase string) []attribute.KeyValue {
	run := strconv.FormatInt(job.WorkflowRunID, 10)
	url := r.server + "/" + repositoryOf(job)
	return append(commonAttributes(job, phase),
		attribute.String("github.record_type", phase),
		attribute.String("github.run_id", run),
		attribute.String("github.run_attempt", "1"),
		attribute.String("cicd.pipeline.run.url.full", url+"/actions/runs/"+run+"/attempts/1"),
		attribute.String("cicd.pipeline.task.run.id", r.jobSpanID(job).String()),
		attribute.String("vcs.repository.url.full", url),
		attribute.String("vcs.provider.name", "github"))
}

func (second) resource() *resource.Resource {
	return resource.NewSchemaless(attribute.String("service.name", "gha-listener"),
		attribute.String("service.namespace", "arc-runners"),
		attribute.String("cicd.system.component", "controller"),
		attribute.String("github.scale_set.name", "arc-linux-x7k2p"))
}
