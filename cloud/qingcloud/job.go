package qingcloud

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cw/fault"
)

// States of a job.
const (
	jobDone   = "successful"
	jobFailed = "failed"
	jobPartly = "done with failure" // some of its resources succeeded
)

// jobItem is one of DescribeJobs.
type jobItem struct {
	ID        text  `json:"job_id"`
	Action    text  `json:"job_action"`
	Status    text  `json:"status"`
	Resources texts `json:"resource_ids"`
	Errors    text  `json:"error_codes"`
}

// job asks for a job. One that is not listed yet is pending.
func (d *Driver) job(ctx context.Context, id string) (jobItem, error) {
	var out struct {
		Jobs []jobItem `json:"job_set"`
	}
	if err := d.read(ctx, "DescribeJobs", list(nil, "jobs", id), &out); err != nil {
		return jobItem{}, err
	}
	for _, j := range out.Jobs {
		if string(j.ID) == id {
			return j, nil
		}
	}
	return jobItem{ID: text(id), Status: "pending"}, nil
}

// poll is the pause between two questions for a job.
const poll = time.Second

// await waits for the end of a job. One that partly failed is an error which
// names what it worked on.
func (d *Driver) await(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	for {
		j, err := d.job(ctx, id)
		if err != nil {
			return err
		}
		switch j.Status {
		case jobDone:
			return nil
		case jobFailed, jobPartly:
			kind := fault.Failed
			if j.Status == jobPartly {
				kind = fault.Partial
			}
			text := fmt.Sprintf("QingCloud: job %s (%s of %s) ended with %q", id, j.Action, strings.Join(j.Resources, ", "), string(j.Status))
			if j.Errors != "" {
				text += ": " + string(j.Errors)
			}
			return fault.New(kind, "look at the job in the console's activity list", "%s", text)
		}
		if err := d.o.Sleep(ctx, poll); err != nil {
			return fmt.Errorf("QingCloud: wait for job %s: %w", id, err)
		}
	}
}
