"""Move confirmations that are still to be sent from the job queue into the outbox."""

from datetime import timedelta

from django.core.signing import BadSignature
from django.db import migrations
from django.utils import timezone
from django_q.signing import SignedPackage

OLD_JOB = 'orders.confirmation_email.send_confirmation'
# The queue gave up long before. Older orders may have been confirmed by other means.
KEPT = timedelta(days=1)


def _is_old_job(payload):
    try:
        return SignedPackage.loads(payload).get('func') == OLD_JOB
    except (BadSignature, ValueError, TypeError, AttributeError):
        return False  # not signed by this shop: not ours to delete


def to_outbox(apps, schema_editor):
    Sale = apps.get_model('orders', 'Sale')
    Email = apps.get_model('retail', 'Email')
    OrmQ = apps.get_model('django_q', 'OrmQ')
    unsent = Sale.objects.filter(
        status='CONFIRMED', confirmation_sent_at=None, finished_at__gte=timezone.now() - KEPT
    )
    for sale in unsent.iterator():
        email = Email(kind='order_confirmed', about=sale.reference, request_id=sale.request_id)
        Email.objects.bulk_create([email], ignore_conflicts=True)
    jobs = OrmQ.objects.values_list('pk', 'payload')
    OrmQ.objects.filter(pk__in=[pk for pk, payload in jobs if _is_old_job(payload)]).delete()


class Migration(migrations.Migration):
    dependencies = [
        ('orders', '0004_sent_at'),
        ('retail', '0008_outbox'),
        ('django_q', '0018_task_success_index'),
    ]

    operations = [migrations.RunPython(to_outbox, migrations.RunPython.noop)]
