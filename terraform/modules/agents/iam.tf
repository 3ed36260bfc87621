# Two roles that agents run with and one that starts them. Brokers create and read; only the compactor deletes. Every
# action here is one that a test has seen an agent of that role send, and every one it has seen is here.

locals {
  objects = "${var.bucket.arn}/${var.bucket.prefix == "" ? "" : "${var.bucket.prefix}/"}"

  # What a role may create and what it may delete, by the first word of the keys.
  creates = {
    broker    = ["control", "journal", "probe"]
    compactor = ["control", "probe", "checkpoint", "compacted", "ledger"]
  }
  deletes = {
    broker    = []
    compactor = ["journal", "probe", "checkpoint", "compacted", "ledger"]
  }

  s3 = {
    for role, created in local.creates : role => concat(
      [
        {
          # Without ListBucket an object that is not there is answered with 403 instead of 404.
          Sid      = "List"
          Effect   = "Allow"
          Action   = role == "compactor" ? ["s3:ListBucket", "s3:ListBucketMultipartUploads"] : ["s3:ListBucket"]
          Resource = var.bucket.arn
        },
        {
          Sid      = "Read"
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = "${local.objects}*"
        },
        {
          Sid      = "Create"
          Effect   = "Allow"
          Action   = ["s3:PutObject"]
          Resource = [for word in created : "${local.objects}${word}/*"]
        },
      ],
      length(local.deletes[role]) == 0 ? [] : [
        {
          Sid      = "Delete"
          Effect   = "Allow"
          Action   = ["s3:DeleteObject", "s3:AbortMultipartUpload"]
          Resource = [for word in local.deletes[role] : "${local.objects}${word}/*"]
        },
      ],
      var.bucket.kms_key_arn == null ? [] : [
        {
          Sid      = "Key"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource = var.bucket.kms_key_arn
        },
      ],
    )
  }

  ecs_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
        ArnLike = {
          "aws:SourceArn" = "arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:*"
        }
      }
    }]
  })

  ec2_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.${data.aws_partition.current.dns_suffix}" }
    }]
  })

  # To begin at all: the image, the log, the password of Redis.
  starting = concat(
    [
      {
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = "*"
      },
      {
        Sid      = "ImageLayers"
        Effect   = "Allow"
        Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
        Resource = var.ecr_repository_arn == null ? "arn:${data.aws_partition.current.partition}:ecr:*:${data.aws_caller_identity.current.account_id}:repository/*" : var.ecr_repository_arn
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this.arn}:*"
      },
    ],
    var.redis.password_secret_arn == null ? [] : [
      {
        Sid      = "RedisPassword"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.redis.password_secret_arn
      },
    ],
    var.redis.kms_key_arn == null ? [] : [
      {
        Sid      = "RedisPasswordKey"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = var.redis.kms_key_arn
      },
    ],
  )
}

resource "aws_iam_role" "agent" {
  for_each = local.creates

  name                 = "${var.name}-${each.key}-${data.aws_region.current.name}"
  description          = "What a ${each.key} of ${var.name} may do"
  assume_role_policy   = each.key == "broker" && local.on_ec2 ? local.ec2_trust : local.ecs_trust
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "bucket" {
  for_each = local.creates

  name   = "bucket"
  role   = aws_iam_role.agent[each.key].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.s3[each.key] })
}

resource "aws_iam_role" "start" {
  name                 = "${var.name}-start-${data.aws_region.current.name}"
  description          = "What ECS needs to start tasks of ${var.name}"
  assume_role_policy   = local.ecs_trust
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "start" {
  name   = "start"
  role   = aws_iam_role.start.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.starting })
}
