"""Works with `keepwell emulator` by Microsoft's own SDK, which knows nothing of it: it comes by the proxy and calls Microsoft's hosts by their names.

    python graph_sdk.py PROGRAM FOLDER

PROGRAM is the built keepwell, FOLDER one for the emulator's certificate. It is run by `cargo xtask clients`, which sees to both, with the Python in which
the SDK is installed. The SDK is used as its documentation says, with three exceptions, for faults of its own that people met at Microsoft's services as
well: a request of a batch is given a relative URL; an upload goes without a token, which Exchange refuses; and in one range, by the method of its task that
sends one: the task itself takes no bare number for the next range, as Outlook's documentation shows it, and sends the last range twice.
"""

import asyncio
import datetime
import email
import io
import json
import os
import pathlib
import signal
import subprocess
import sys

MAILBOXES = 30
PAGE = 5
# More than fits into one request that is not an upload, less than one range may have.
UPLOAD_BYTES = 3_500_000
RANGE_BYTES = 4 * 1024 * 1024


def start(program, folder):
    folder.mkdir(parents=True, exist_ok=True)
    authority = folder / "authority.pem"
    arguments = ["--users", str(MAILBOXES), "--seed", "7", "--proxy", "127.0.0.1:0", "--ca-out", authority]
    # So that it can register a certificate for itself.
    arguments += ["--permission", "Application.ReadWrite.All"]
    emulator = subprocess.Popen([program, "emulator", *arguments], stdout=subprocess.PIPE, text=True)
    ready = json.loads(emulator.stdout.readline())
    os.environ["HTTPS_PROXY"] = ready["proxy"]
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]:
        os.environ[name] = str(authority)
    return emulator, ready


async def main(program, folder):
    emulator, ready = start(program, folder)
    try:
        # Only now: what is imported reads the environment.
        from azure.identity.aio import CertificateCredential, ClientSecretCredential

        of_app = ready["tenant_id"], ready["client_id"]
        async with ClientSecretCredential(*of_app, ready["client_secret"]) as secret:
            graph = client(secret)
            await directory(graph)
            await errors(graph)
            mailbox = graph.users.by_user_id(ready["user"]["user_principal_name"])
            await mail(mailbox)
            message = await changes(mailbox)
            await upload(mailbox.messages.by_message_id(message))
            await batch(graph, mailbox)
            await mailbox.messages.by_message_id(message).delete()
            pem = await certificate(graph, ready["client_id"])
        async with CertificateCredential(*of_app, certificate_data=pem) as by_certificate:
            users = await client(by_certificate).users.get()
            assert users.value, "nobody is told to who signs in with a certificate"
            said("a certificate signs in")
    finally:
        emulator.send_signal(signal.SIGTERM)
        ended = emulator.wait(timeout=30)
    assert ended == 0, f"the emulator ended with {ended}"


def client(credential):
    from msgraph import GraphServiceClient

    return GraphServiceClient(credential, ["https://graph.microsoft.com/.default"])


def said(line):
    print(f"  {line}", flush=True)


async def directory(graph):
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.users_request_builder import UsersRequestBuilder
    from msgraph_core.tasks.page_iterator import PageIterator

    asked = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(top=PAGE, select=["id", "displayName", "userPrincipalName"])
    first = await graph.users.get(RequestConfiguration(query_parameters=asked))
    assert len(first.value) == PAGE and first.odata_next_link.startswith("https://graph.microsoft.com/v1.0/users?"), first.odata_next_link
    everybody = []
    await PageIterator(first, graph.request_adapter).iterate(lambda user: everybody.append(user) or True)
    assert len(everybody) >= MAILBOXES and len({user.id for user in everybody}) == len(everybody), len(everybody)
    one = await graph.users.by_user_id(everybody[-1].id).get()
    assert one.user_principal_name == everybody[-1].user_principal_name
    organization = (await graph.organization.get()).value[0]
    assert any(domain.is_initial for domain in organization.verified_domains)
    said(f"{len(everybody)} users in pages of {PAGE}")


async def errors(graph):
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError

    try:
        await graph.users.by_user_id("nobody@contoso.onmicrosoft.com").get()
    except ODataError as error:
        assert (error.response_status_code, error.error.code) == (404, "Request_ResourceNotFound"), error
        assert error.error.inner_error.request_id and error.error.inner_error.date, error
    else:
        raise AssertionError("somebody is there who is not")
    said("an error has its type")


async def mail(mailbox):
    folders = await mailbox.mail_folders.get()
    assert "Inbox" in [folder.display_name for folder in folders.value]
    inbox = mailbox.mail_folders.by_mail_folder_id("inbox")
    page = await inbox.messages.get()
    listed = list(page.value)
    while page.odata_next_link:
        page = await inbox.messages.with_url(page.odata_next_link).get()
        listed += page.value
    count = (await inbox.get()).total_item_count
    assert len({message.id for message in listed}) == len(listed) == count, (len(listed), count)
    message = listed[0]
    assert isinstance(message.received_date_time, datetime.datetime)
    mime = email.message_from_bytes(await mailbox.messages.by_message_id(message.id).content.get())
    assert mime["Message-ID"] == message.internet_message_id
    said(f"{len(listed)} messages, and the MIME of one")


async def changes(mailbox):
    """Gives the id of a message that was made meanwhile."""
    from msgraph.generated.models.body_type import BodyType
    from msgraph.generated.models.item_body import ItemBody
    from msgraph.generated.models.message import Message

    inbox = mailbox.mail_folders.by_mail_folder_id("inbox")
    delta = inbox.messages.delta
    page, pages, seen = await delta.get(), 1, []
    while True:
        seen += page.value
        if not page.odata_next_link:
            break
        page, pages = await delta.with_url(page.odata_next_link).get(), pages + 1
    assert len(seen) == (await inbox.get()).total_item_count
    text = ItemBody(content_type=BodyType.Html, content="<p>hello</p>")
    new = await inbox.messages.post(Message(subject="by the SDK", body=text))
    assert new.is_draft
    changed = await mailbox.messages.by_message_id(new.id).patch(Message(subject="renamed", is_read=True))
    assert (changed.subject, changed.is_read) == ("renamed", True)
    after = await delta.with_url(page.odata_delta_link).get()
    assert [message.subject for message in after.value] == ["renamed"], after.value
    said(f"{len(seen)} messages by delta in {pages} pages, and one that came later")
    return new.id


async def upload(message):
    from kiota_abstractions.authentication.anonymous_authentication_provider import AnonymousAuthenticationProvider
    from kiota_http.httpx_request_adapter import HttpxRequestAdapter
    from msgraph.generated.models.attachment_item import AttachmentItem
    from msgraph.generated.models.attachment_type import AttachmentType
    from msgraph.generated.users.item.messages.item.attachments.create_upload_session.create_upload_session_post_request_body import (
        CreateUploadSessionPostRequestBody,
    )
    from msgraph_core import GraphClientFactory
    from msgraph_core.tasks.large_file_upload import LargeFileUploadTask

    item = AttachmentItem(attachment_type=AttachmentType.File, name="large.bin", size=UPLOAD_BYTES)
    session = await message.attachments.create_upload_session.post(CreateUploadSessionPostRequestBody(attachment_item=item))
    assert session.upload_url.startswith("https://outlook.office.com/"), session.upload_url
    http = GraphClientFactory.create_with_default_middleware()
    content = os.urandom(UPLOAD_BYTES)
    without_token = HttpxRequestAdapter(AnonymousAuthenticationProvider(), http_client=http)
    task = LargeFileUploadTask(session, without_token, io.BytesIO(content), max_chunk_size=RANGE_BYTES)
    await task.next_chunk(task.stream, 0, UPLOAD_BYTES - 1)
    (attachment,) = (await message.attachments.get()).value
    assert attachment.name == "large.bin", attachment.name
    whole = await message.attachments.by_attachment_id(attachment.id).get()
    assert whole.content_bytes == content, "other bytes came back"
    said(f"an upload of {UPLOAD_BYTES} bytes")


async def batch(graph, mailbox):
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError
    from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
    from msgraph_core.requests.batch_request_content import BatchRequestContent
    from msgraph_core.requests.batch_request_item import BatchRequestItem

    content = BatchRequestContent()
    wanted = {
        "users": graph.users.to_get_request_information(),
        "nothing": mailbox.messages.by_message_id("nothing").to_get_request_information(),
    }
    for name, information in wanted.items():
        item = BatchRequestItem(information, id=name)
        item.url = "/" + item.url.split("/v1.0/", 1)[1].lstrip("/")
        content.add_request(name, item)
    answers = (await BatchRequestBuilder(graph.request_adapter, {"XXX": ODataError}).post(content)).responses
    assert answers["users"].status == 200 and answers["nothing"].status >= 400, answers
    said("a batch, in which one request fails alone")


async def certificate(graph, client_id):
    """Registers a certificate as an administrator's program does, and gives it with its key as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from msgraph.generated.models.application import Application
    from msgraph.generated.models.key_credential import KeyCredential

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "by the SDK")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
    signed = builder.sign(key, hashes.SHA256())
    der = signed.public_bytes(serialization.Encoding.DER)
    application = await graph.applications_with_app_id(client_id).get()
    credential = KeyCredential(type="AsymmetricX509Cert", usage="Verify", key=der, display_name="by the SDK")
    await graph.applications.by_application_id(application.id).patch(Application(key_credentials=[credential]))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*pem) + signed.public_bytes(serialization.Encoding.PEM)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], pathlib.Path(sys.argv[2])))
