# What someone should look at. Those of Odradek's own metrics are of the lines that agents print once a minute.

locals {
  balancer = {
    LoadBalancer = aws_lb.bootstrap.arn_suffix
    TargetGroup  = aws_lb_target_group.agents.arn_suffix
  }

  alarms = {
    nobody-ready = {
      namespace  = "AWS/NetworkELB", metric = "HealthyHostCount", statistic = "Maximum", dimensions = local.balancer
      comparison = "LessThanThreshold", threshold = 1, minutes = 2, missing = "breaching"
      says       = "No agent of ${var.name} is ready: nothing is served. /readyz of each says what it waits for, and so does its log."
    }
    unready = {
      namespace  = "AWS/NetworkELB", metric = "UnHealthyHostCount", statistic = "Minimum", dimensions = local.balancer
      comparison = "GreaterThanThreshold", threshold = 0, minutes = 15, missing = "notBreaching"
      says       = "An agent of ${var.name} has not been ready for a quarter of an hour. Its log says what it waits for."
    }
    bucket-errors = {
      namespace  = local.metrics_namespace, metric = "BucketErrors", statistic = "Sum", dimensions = local.dimensions["broker"]
      comparison = "GreaterThanThreshold", threshold = 30, minutes = 5, missing = "notBreaching"
      says       = "Requests of ${var.name} to its bucket fail, for five minutes: producers with acks=all wait. Look at the agents' logs for what S3 answers, and at the roles' and the bucket's policies."
    }
    wal-closed = {
      namespace  = local.metrics_namespace, metric = "WALClosed", statistic = "Maximum", dimensions = local.dimensions["broker"]
      comparison = "GreaterThanThreshold", threshold = 0, minutes = 1, missing = "notBreaching"
      says       = "The disk of an agent of ${var.name} failed: acks=1 waits for the bucket there. Replace the agent."
    }
    compactor-silent = {
      namespace  = local.metrics_namespace, metric = "Ready", statistic = "Maximum", dimensions = local.dimensions["compactor"]
      comparison = "LessThanThreshold", threshold = 1, minutes = 30, missing = "breaching"
      says       = "The compactor of ${var.name} has not been ready for half an hour: the bucket grows, checkpoints get old, starts take longer."
    }
    compaction-damaged = {
      namespace  = local.metrics_namespace, metric = "CompactionDamaged", statistic = "Maximum", dimensions = local.dimensions["compactor"]
      comparison = "GreaterThanThreshold", threshold = 0, minutes = 1, missing = "notBreaching"
      says       = "The compactor of ${var.name} found something damaged or missing in the bucket. `odradek verify` names it."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.says
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.dimensions
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}
