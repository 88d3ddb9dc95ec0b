"""The task `report.schema`: JSON Schemas of the entities, and of what each task prints with --json."""

from invoke.context import Context

from ci_tasks.core.task import Answer, option, task

ENTITIES = {
    "ActionLink": "ci_tasks.report.model",
    "CIScript": "ci_tasks.script.model",
    "Deployment": "ci_tasks.tag.model",
    "Error": "ci_tasks.core.error_document",
    "EnvironmentConfiguration": "ci_tasks.environment.model",
    "GitTag": "ci_tasks.tag.model",
    "PipelineReport": "ci_tasks.report.model",
}
"""Where each entity of the data model lives, and what is printed where a task fails."""

DOCUMENTS = {
    "demo": ("ci_tasks.demo.model", "DemoAnswer"),
    "deploy.cancel": ("ci_tasks.deploy.unlock", "RecordsAnswer"),
    "deploy.diff": ("ci_tasks.deploy.diff.model", "Difference"),
    "deploy.history": ("ci_tasks.deploy.unlock", "RecordsAnswer"),
    "deploy.plan": ("ci_tasks.deploy.changed.change_plan", "ChangePlan"),
    "deploy.promote": ("ci_tasks.deploy.rollout.parts", "RolloutAnswer"),
    "deploy.review": ("ci_tasks.deploy.review", "ReviewAnswer"),
    "deploy.rollback": ("ci_tasks.deploy.rollout.parts", "RolloutAnswer"),
    "deploy.run": ("ci_tasks.deploy.deployment", "DeploymentAnswer"),
    "deploy.settle": ("ci_tasks.deploy.unlock", "Settlement"),
    "deploy.status": ("ci_tasks.deploy.status", "StatusAnswer"),
    "deploy.unlock": ("ci_tasks.deploy.unlock", "RecordsAnswer"),
    "env.check": ("ci_tasks.environment.model", "CheckedConfiguration"),
    "env.list": ("ci_tasks.environment.model", "ConfigurationList"),
    "env.show": ("ci_tasks.environment.model", "ShownConfiguration"),
    "hook.install": ("ci_tasks.hook.model", "HookInstallation"),
    "hook.run": ("ci_tasks.hook.model", "HookResult"),
    "project.changed": ("ci_tasks.project.model", "ChangedProjects"),
    "project.list": ("ci_tasks.project.model", "ProjectList"),
    "report.show": ("ci_tasks.report.model", "PipelineReport"),
    "script.check": ("ci_tasks.script.model", "CheckReport"),
    "script.list": ("ci_tasks.script.model", "ScriptList"),
    "script.run": ("ci_tasks.script.model", "ScriptResult"),
    "tag.assign": ("ci_tasks.deploy.assign", "AssignmentAnswer"),
    "tag.create": ("ci_tasks.tag.version.created", "CreatedTag"),
    "tag.list": ("ci_tasks.tag.catalogue", "TagList"),
    "tag.notes": ("ci_tasks.tag.version.notes", "ReleaseNotes"),
    "tag.ruleset": ("ci_tasks.tag.ruleset.apply", "RulesetAnswer"),
    "tag.show": ("ci_tasks.tag.show.model", "ShownTag"),
    "tag.state": ("ci_tasks.tag.state", "MarkedVersion"),
    "tag.validate": ("ci_tasks.tag.validate", "CheckedNames"),
    "tag.verify": ("ci_tasks.tag.audit.finding", "Audit"),
}
"""What each task prints with --json: the module and the name of its entity."""

NAMES = (*ENTITIES, *DOCUMENTS)


@task
def schema(
    c: Context,
    name: str | None = option("an entity, or the task whose --json it is; else all", choices=NAMES),
) -> Answer:
    """Print the JSON Schema of what we write.

    For each entity of the data model, and for what each task prints with
    --json; where a task fails, that is an Error. Changes nothing.

    inv report.schema --name Deployment
    """
    from importlib import import_module

    from ci_tasks.core.entity import json_schema, to_json

    def of(wanted: str) -> dict[str, object]:
        module, kind = (ENTITIES[wanted], wanted) if wanted in ENTITIES else DOCUMENTS[wanted]
        return json_schema(getattr(import_module(module), kind))

    document = of(name) if name else {each: of(each) for each in NAMES}
    return Answer(document, lambda: to_json(document, indent=2).decode())
